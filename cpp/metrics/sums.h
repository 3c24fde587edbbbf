#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "device/device.h"

namespace whet::metrics {

/// What right answers are: numbers, a label of 0 or 1 for each output, or one of several classes.
enum class Kind { values, labels, classes };

/// What turns outputs into probabilities, or into numbers in the answers' unit.
enum class Link { none, exp, sigmoid, softmax };

/// A section of the sums. Those of labels have an element for each class, or each column of several; those of errors
/// one for each column.
enum Section : int {
  kTotal,       // of weights
  kHits,        // rows of a label that were given it
  kPredicted,   // rows that were given it
  kTrue,        // rows that have it
  kOccurring,   // above 0 where any row has it or was given it, also one that weighs nothing
  kRight,       // rows that were given all that they have and no other
  kRanks,       // rows by how many classes have a higher score than their own
  kLogLoss,     // of rows
  kBrier,       // of rows: squared distance, summed over classes, or a mean over labels
  kAbsolute,    // |truth - prediction|
  kRelative,    // the same over |truth|
  kSquares,     // (truth - prediction)^2
  kMean,        // of the truth: no sum
  kDeviations,  // (truth - its mean)^2
  kSections
};

/// What asks for sections, by name: "counts" for those of labels, "deviations" for mean and deviations.
struct Want {
  std::string_view name;
  Section first, last;
};
inline constexpr std::array<Want, 9> kWants{{{"counts", kHits, kOccurring},
                                             {"right", kRight, kRight},
                                             {"ranks", kRanks, kRanks},
                                             {"log_loss", kLogLoss, kLogLoss},
                                             {"brier", kBrier, kBrier},
                                             {"absolute", kAbsolute, kAbsolute},
                                             {"relative", kRelative, kRelative},
                                             {"squares", kSquares, kSquares},
                                             {"deviations", kMean, kDeviations}}};

/// How outputs are read, and what is summed.
struct Plan {
  Kind kind = Kind::values;
  Link link = Link::none;  // with none, outputs are probabilities where those are asked for
  int64_t first = 0;       // of the columns that are read
  int64_t columns = 1;
  double threshold = 0;   // of an output, above which a label is 1
  uint32_t sections = 0;  // a bit for each

  bool has(Section section) const { return sections >> section & 1; }
  /// Adds what `name` asks for. Throws std::invalid_argument for one that is unknown.
  void want(std::string_view name);
};

/// Right answers of rows, borrowed, and perhaps a weight per row. A class below 0 leaves its row out.
struct Answers {
  Target target;
  const void* weights = nullptr;
};

/// What a log loss has computed of rows with the same answers: the loss of each, and its gradient times a number of
/// each row, or if `scales` is null, times `scale`. Where there is none, its data are null.
struct LogLosses {
  const void* rows = nullptr;
  ConstMatrix gradient{};
  const void* scales = nullptr;
  double scale = 1;
};

/// What metrics are made of: sums over rows, in double, in one pass over outputs and answers. Rows are added part by
/// part, a part counts from its commit on, and nothing allocates. Bits depend on rows and parts alone.
class Sums {
 public:
  /// `device` computes links and losses, in the outputs' dtype.
  Sums(const Plan& plan, Device& device);

  const Plan& plan() const { return plan_; }
  DType dtype() const { return device_->dtype(); }

  /// Before the first rows of a part: forgets those since the last commit.
  void begin();
  /// Outputs of rows whose answers are at `order`, or if that is null, from `first` on.
  void add(ConstMatrix outputs, const Answers& answers, const int64_t* order, int64_t first,
           const LogLosses& known = {});
  /// After the last rows of a part.
  void commit();

  /// All sections one after the other, and one of them, empty if nobody asked for it.
  std::span<double> all() { return sums_; }
  std::span<double> section(Section section) { return of(sums_, section); }

 private:
  /// Rows that follow each other, with what is known of them.
  struct Rows {
    int64_t count;
    ConstMatrix outputs, linked, truth;
    const int32_t* classes;
    const double* weights;
    LogLosses log_losses;
  };

  std::span<double> of(std::vector<double>& sums, Section section) const;
  int64_t size_of_section(Section section) const;
  void merge(std::vector<double>& into, std::vector<double>& part) const;
  Rows slice(const Rows& rows, int64_t first, int64_t count) const;

  template <class T>
  void add_chunk(Rows rows, const Answers& answers, const int64_t* order, int64_t first);
  template <class T>
  void load_weights(Rows& rows, const T* weights, const int64_t* order, int64_t first);
  void load_classes(Rows& rows, const int32_t* classes, const int64_t* order, int64_t first);
  template <class T>
  void load_truth(Rows& rows, ConstMatrix truth, const int64_t* order, int64_t first);
  void link(Rows& rows);
  void find_log_losses(Rows& rows);
  template <class T>
  void add_slab(const Rows& rows);
  template <class T>
  void count_classes(const Rows& rows);
  template <class T>
  void count_labels(const Rows& rows);
  template <class T>
  void count_right(const Rows& rows);
  template <class T>
  void rank(const Rows& rows);
  template <class T>
  void add_log_losses(const Rows& rows);
  template <class T>
  void add_brier(const Rows& rows);
  template <class T>
  void add_errors(const Rows& rows);

  Plan plan_;
  Device* device_;
  std::array<int64_t, kSections> start_{};
  std::vector<double> sums_, part_, slab_;  // committed; since the last commit; of the rows at hand

  // Of as many rows as a device is given at once.
  int64_t chunk_rows_;
  std::vector<double> ones_, weights_;
  std::vector<int32_t> classes_, known_classes_;  // these with 0 for rows that are left out
  Arena truth_, linked_, losses_;
};

}  // namespace whet::metrics
