#include "metrics/roc_area.h"

#include <array>
#include <bit>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

namespace whet::metrics {

namespace {

template <class T>
using Key = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

/// A whole number in the order of the scores; zeros are equal.
template <class T>
Key<T> key_of(T score) {
  constexpr Key<T> sign = Key<T>{1} << (8 * sizeof(T) - 1);
  const auto bits = std::bit_cast<Key<T>>(score);
  if ((bits << 1) == 0) return sign;
  return bits & sign ? ~bits : bits | sign;
}

template <class T>
struct Alone {
  Key<T> key;
  double weight() const { return 1; }
};

template <class T>
struct Weighted {
  Key<T> key;
  double weight_;
  double weight() const { return weight_; }
};

/// Sorts by digits of 11 bits, the last one first. The area of a million floats takes 30 ms.
template <class Item>
void sort_by_key(std::vector<Item>& items) {
  constexpr int bits = 11, digits = (8 * sizeof(Item::key) + bits - 1) / bits;
  constexpr size_t values = size_t{1} << bits;
  const auto digit_of = [](const Item& item, int digit) { return (item.key >> (digit * bits)) & (values - 1); };
  std::vector<std::array<size_t, values>> places(digits);
  for (const Item& item : items)
    for (int digit = 0; digit < digits; ++digit) ++places[static_cast<size_t>(digit)][digit_of(item, digit)];
  std::vector<Item> sorted(items.size());
  for (int digit = 0; digit < digits; ++digit) {
    auto& place = places[static_cast<size_t>(digit)];
    if (!items.empty() && place[digit_of(items[0], digit)] == items.size()) continue;  // all have the same
    size_t next = 0;
    for (size_t& each : place) next += std::exchange(each, next);
    for (const Item& item : items) sorted[place[digit_of(item, digit)]++] = item;
    items.swap(sorted);
  }
}

template <class Item>
double total(const std::vector<Item>& items) {
  double sum = 0;
  for (const Item& item : items) sum += item.weight();
  return sum;
}

/// The pairs in which one of ours lies above one of the others, or `level` with it. Without branches: which is next
/// cannot be foreseen.
template <bool level, class Item>
double wins(const std::vector<Item>& ours, const std::vector<Item>& others) {
  double sum = 0, below = 0;
  size_t i = 0, j = 0;
  while (i < ours.size() && j < others.size()) {
    const bool passes = level ? others[j].key <= ours[i].key : others[j].key < ours[i].key;
    sum += passes ? 0 : ours[i].weight() * below;
    below += passes ? others[j].weight() : 0;
    i += !passes;
    j += passes;
  }
  for (; i < ours.size(); ++i) sum += ours[i].weight() * below;
  return sum;
}

template <class Item>
double area(std::vector<Item>& ours, std::vector<Item>& others) {
  const double pairs = total(ours) * total(others);
  if (pairs == 0) return std::numeric_limits<double>::quiet_NaN();
  sort_by_key(ours);
  sort_by_key(others);
  return (wins<false>(ours, others) + wins<true>(ours, others)) / (2 * pairs);
}

template <class Item, class Make>
double area_of(const bool* positive, int64_t n, const Make& make) {
  std::vector<Item> sides[2];
  int64_t ours = 0;
  for (int64_t i = 0; i < n; ++i) ours += positive[i];
  sides[1].resize(static_cast<size_t>(ours + 1));
  sides[0].resize(static_cast<size_t>(n - ours + 1));
  Item *no = sides[0].data(), *yes = sides[1].data();
  for (int64_t i = 0; i < n; ++i) {
    *yes = *no = make(i);  // without a branch, as above
    yes += positive[i];
    no += !positive[i];
  }
  for (auto& side : sides) side.pop_back();
  return area(sides[1], sides[0]);
}

}  // namespace

template <class T>
double roc_area(const T* scores, const bool* positive, const double* weights, int64_t n) {
  if (!weights) return area_of<Alone<T>>(positive, n, [&](int64_t i) { return Alone<T>{key_of(scores[i])}; });
  return area_of<Weighted<T>>(positive, n, [&](int64_t i) { return Weighted<T>{key_of(scores[i]), weights[i]}; });
}

template double roc_area(const float*, const bool*, const double*, int64_t);
template double roc_area(const double*, const bool*, const double*, int64_t);

}  // namespace whet::metrics
