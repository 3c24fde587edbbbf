#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

/// A test program is a list of TEST blocks and `int main() { return whet::run_tests(); }`.
namespace whet {

inline std::vector<std::pair<const char*, void (*)()>>& tests() {
  static std::vector<std::pair<const char*, void (*)()>> list;
  return list;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Registration {
  Registration(const char* name, void (*body)()) { tests().emplace_back(name, body); }
};

template <class... Parts>
void report(const char* file, int line, const Parts&... parts) {
  constexpr int shown = 20;  // one mistake can fail a thousand checks
  if (++failures() > shown) return;
  std::cerr << file << ':' << line << ": ";
  (std::cerr << ... << parts) << std::endl;
}

inline int run_tests() {
  for (const auto& [name, body] : tests()) {
    const int before = failures();
    body();
    std::cerr << (failures() == before ? "ok      " : "FAILED  ") << name << std::endl;
  }
  return failures() == 0 ? 0 : 1;
}

/// Equal bits, so that NaN equals itself and 0 differs from -0.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace whet

#define TEST(name)                                                  \
  static void name();                                               \
  static const whet::Registration registration_##name(#name, name); \
  static void name()

// CHECK(condition, "what was tried ", x): the parts after the condition are printed if it fails.
#define CHECK(condition, ...)                                                                        \
  do {                                                                                               \
    if (!(condition)) whet::report(__FILE__, __LINE__, #condition __VA_OPT__(, "; ", ) __VA_ARGS__); \
  } while (false)

#define CHECK_THROWS(Type, expression)                                           \
  do {                                                                           \
    bool thrown = false;                                                         \
    try {                                                                        \
      (void)(expression);                                                        \
    } catch (const Type&) {                                                      \
      thrown = true;                                                             \
    }                                                                            \
    if (!thrown) whet::report(__FILE__, __LINE__, #expression " did not throw"); \
  } while (false)
