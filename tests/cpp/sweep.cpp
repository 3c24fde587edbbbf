// Compiled once per instruction set: errors of the elementary functions over all 2^32 floats. See sweep.md.

#include <math.h>

// glibc has its functions in double as vectors too, within 4 ULP of double, which GCC finds by this attribute.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#if __GLIBC_PREREQ(2, 35)
#define WHET_VECTOR(name) extern "C" __attribute__((simd("notinbranch"))) double name(double) noexcept;
WHET_VECTOR(exp)
WHET_VECTOR(expm1)
WHET_VECTOR(log)
WHET_VECTOR(log1p)
WHET_VECTOR(tanh)
WHET_VECTOR(erf)
WHET_VECTOR(erfc)
WHET_VECTOR(sin)
WHET_VECTOR(cos)
#undef WHET_VECTOR
#endif
#endif

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "device/cpu/cpu.h"
#include "ulp.h"

namespace {

using namespace whet::cpu::WHET_ISA_NAMESPACE;

constexpr int kSize = 1024;
constexpr int64_t kChunkSize = 1 << 20, kChunks = 4096;
constexpr const char* kDenormals[] = {"kept", "flushed"};

/// FNV-1a over 32-bit words in sixteen interleaved streams, which fit a register.
class Hash {
 public:
  Hash() { streams_.fill(kStart); }
  explicit Hash(const float (&values)[kSize]) : Hash() {
    std::array<uint32_t, kStreams> streams = streams_;
    for (int i = 0; i < kSize; i += kStreams)
      for (int j = 0; j < kStreams; ++j) mix(streams[j], std::bit_cast<uint32_t>(values[i + j]));
    streams_ = streams;
  }
  void add(const Hash& later) {
    for (int j = 0; j < kStreams; ++j) mix(streams_[j], later.streams_[j]);
  }
  uint64_t value() const {
    uint32_t even = kStart, odd = kStart;
    for (int j = 0; j < kStreams; j += 2) mix(even, streams_[j]), mix(odd, streams_[j + 1]);
    return uint64_t{even} << 32 | odd;
  }

 private:
  static constexpr int kStreams = 16;
  static constexpr uint32_t kStart = 0x811c9dc5;
  static void mix(uint32_t& hash, uint32_t word) { hash = (hash ^ word) * 0x01000193; }
  std::array<uint32_t, kStreams> streams_;
};

struct Part {
  Tally<float> tally;
  Hash hash;

  void add(const Part& later) {
    tally.add(later.tally);
    hash.add(later.hash);
  }
};
using Parts = std::array<Part, 2>;  // with denormals kept, and flushed as in the library's calls

struct Block {
  float x[kSize], got[kSize];
  double exact[kSize];
};

/// The vector form of the reference, at one element, against the scalar form.
void check_reference(const Function<float>& function, const Block& block, int i) {
  const double a = block.exact[i], b = function.exactly(block.x[i]);
  if (a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-14 * std::abs(b) + 1e-100) return;
  std::fprintf(stderr, "%s of %.9g: the C library says %.17g and %.17g\n", function.name, block.x[i], a, b);
  std::exit(1);
}

/// Adds a block whose numbers are all normal and finite, in loops that the compiler turns into vectors; else false.
/// Where the worst error is matters only if it exceeds `known`.
bool add_normal(Tally<float>& tally, const Function<float>& function, const Block& block, double known) {
  constexpr float smallest = std::numeric_limits<float>::min(), most = std::numeric_limits<float>::max();
  const float least = tally.lost_products ? 0x1p-100f : smallest;
  int32_t normal = 1, rounded = 0, beyond_one = 0, wrong_signs = 0;
  for (int i = 0; i < kSize; ++i) {
    const double e = std::abs(block.exact[i]);
    normal &= std::abs(block.x[i]) >= least;
    normal &= std::abs(block.x[i]) <= function.domain;
    normal &= std::abs(block.got[i]) <= most;
    normal &= e >= least;
    normal &= e <= most;
  }
  if (!normal) return false;
  // Of positive doubles the bits are ordered as they are.
  int64_t worst = 0, near_zero = 0;
  for (int i = 0; i < kSize; ++i) {
    const double error = normal_ulp_error<float>(block.got[i], block.exact[i]);
    const double difference = std::abs(block.x[i]) <= 10 ? std::abs(block.got[i] - block.exact[i]) : 0;
    worst = std::max(worst, std::bit_cast<int64_t>(error));
    near_zero = std::max(near_zero, std::bit_cast<int64_t>(difference));
    beyond_one += error > 1;
    rounded += block.got[i] == static_cast<float>(block.exact[i]);
    wrong_signs += (std::bit_cast<int32_t>(block.got[i]) < 0) != (std::bit_cast<int64_t>(block.exact[i]) < 0);
  }
  tally.worst = std::bit_cast<double>(worst);
  tally.worst_near_zero = std::bit_cast<double>(near_zero);
  tally.numbers = kSize;
  tally.rounded = rounded;
  tally.beyond_one = beyond_one;
  tally.wrong_signs = wrong_signs;
  for (int i = kSize - 1; i >= 0 && tally.worst > known; --i)
    if (normal_ulp_error<float>(block.got[i], block.exact[i]) == tally.worst) tally.worst_at = block.x[i];
  return true;
}

/// Adds a block of which every element says the same, else false.
bool add_constant(Tally<float>& tally, const Function<float>& function, const Block& block) {
  const auto bits = [](float value) { return std::bit_cast<int32_t>(value); };
  int64_t differ = std::abs(block.x[0]) < std::numeric_limits<float>::min() || std::abs(block.x[0]) <= 10;
  for (int i = 0; i < kSize; ++i)
    differ |= (bits(block.got[i]) ^ bits(block.got[0])) |
              (std::bit_cast<int64_t>(block.exact[i]) ^ std::bit_cast<int64_t>(block.exact[0]));
  if (differ) return false;
  tally.add(function, block.x[0], block.got[0], block.exact[0]);
  for (int64_t* count : {&tally.numbers, &tally.rounded, &tally.beyond_one, &tally.wrong_signs}) *count *= kSize;
  return true;
}

Tally<float> examine(const Function<float>& function, const Block& block, double known, bool flush) {
  Tally<float> tally{.lost_products = flush && !kFused};
  if (add_normal(tally, function, block, known) || add_constant(tally, function, block)) return tally;
  for (int i = 0; i < kSize; ++i) tally.add(function, block.x[i], block.got[i], block.exact[i]);
  return tally;
}

struct SweepOptions {
  bool only_hashes = false;
  bool sample = false;  // every 64th block
};

/// The results' bits, and, unless only the hashes are asked for, their errors.
Parts sweep_chunk(const Function<float>& function, int64_t chunk, SweepOptions options) {
  Parts parts;
  Block block;
  float flushed[kSize];
  const int64_t every = options.sample ? 64 : 1;
  for (int64_t start = chunk * kChunkSize + chunk % every * kSize; start < (chunk + 1) * kChunkSize;
       start += every * kSize) {
    for (int i = 0; i < kSize; ++i) block.x[i] = std::bit_cast<float>(static_cast<uint32_t>(start + i));
    function.ours(block.x, block.got, kSize);
    {
      const whet::cpu::FlushDenormals denormals;
      function.ours(block.x, flushed, kSize);
    }
    parts[0].hash.add(Hash(block.got));
    parts[1].hash.add(Hash(flushed));
    if (options.only_hashes) continue;

    // The bits of a block's numbers are neighbours: where both ends are finite and beyond the domain, so are all.
    if (std::abs(block.x[0]) > function.domain && std::isfinite(block.x[0]) && std::isfinite(block.x[kSize - 1])) {
      std::memset(block.exact, 0, sizeof block.exact);
    } else {
      function.reference(block.x, block.exact, kSize);
      check_reference(function, block, static_cast<int>(start / kSize * 7 % kSize));
    }
    const Tally<float> kept = examine(function, block, parts[0].tally.worst, false);
    parts[0].tally.add(kept);
    if (std::memcmp(block.got, flushed, sizeof flushed) == 0) {
      parts[1].tally.add(kept);
    } else {
      std::memcpy(block.got, flushed, sizeof flushed);
      parts[1].tally.add(examine(function, block, parts[1].tally.worst, true));
    }
  }
  return parts;
}

/// True if the function keeps its promise.
bool sweep(const Function<float>& function, SweepOptions options) {
  std::vector<Parts> chunks(kChunks);
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t chunk = next++; chunk < kChunks; chunk = next++) chunks[chunk] = sweep_chunk(function, chunk, options);
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < whet::cpu::num_threads(); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  bool holds = true;
  for (const bool flush : {false, true}) {
    Part sum;
    for (const Parts& parts : chunks) sum.add(parts[flush]);
    const Tally<float>& tally = sum.tally;
    std::printf("| %s | %s |", function.name, kDenormals[flush]);
    if (!options.only_hashes)
      std::printf(" %.4g | %.9g | %lld | %.3f %% | %lld | %.2g |", tally.worst, tally.worst_at,
                  static_cast<long long>(tally.beyond_one),
                  100.0 * static_cast<double>(tally.rounded) / static_cast<double>(tally.numbers),
                  static_cast<long long>(tally.wrong_signs), tally.worst_near_zero);
    std::printf(" %016llx |\n", static_cast<unsigned long long>(sum.hash.value()));
    holds = holds && tally.holds(function);
  }
  std::fflush(stdout);
  return holds;
}

}  // namespace

/// sweep_SET [--only-hashes] [--sample] [FUNCTION ...]: all functions where none is named.
int main(int argc, char** argv) {
  const std::vector<std::string> sets = whet::cpu::available_instruction_sets();
  if (std::find(sets.begin(), sets.end(), kSet) == sets.end()) {
    std::fprintf(stderr, "this processor lacks %s\n", kSet);
    return 1;
  }
  std::vector<std::string> names(argv + 1, argv + argc);
  const SweepOptions options{.only_hashes = std::erase(names, "--only-hashes") > 0,
                             .sample = std::erase(names, "--sample") > 0};
  std::vector<Function<float>> chosen = functions<float>();
  for (const Function<float>& function : compositions<float>()) chosen.push_back(function);
  if (!names.empty())
    std::erase_if(chosen, [&](const Function<float>& function) {
      return std::find(names.begin(), names.end(), function.name) == names.end();
    });

  std::printf("### %s\n\n", kSet);
  std::printf(options.only_hashes
                  ? "| function | denormals | hash |\n|---|---|---|\n"
                  : "| function | denormals | worst ULP | at x = | inputs beyond 1 ULP | correctly rounded | "
                    "wrong signs | worst difference, \\|x\\| <= 10 | hash |\n|---|---|---|---|---|---|---|---|---|\n");
  bool holds = true;
  for (const Function<float>& function : chosen) holds = sweep(function, options) && holds;
  return holds ? 0 : 1;
}
