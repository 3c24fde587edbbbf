#include "bindings/bindings.h"
#include "core/error.h"

namespace whet::bindings {

namespace {

/// Throws std::invalid_argument unless rows of so many columns stand where `starts` says, each in ascending order.
void check_entries(const SparseRows& rows) {
  const SparseMatrix& m = rows.matrix;
  const bool ends = m.starts[0] == 0 && m.starts[m.rows] == rows.columns.size();
  for (int64_t i = 0; i < m.rows; ++i) {
    // The first row that does not begin where the last one ended has its end looked at, too: before any entry.
    if (!ends || m.starts[i + 1] < m.starts[i] || m.starts[i + 1] > rows.columns.size())
      fail("sparse", "expected starts of rows that ascend from 0 to ", rows.columns.size());
    int64_t before = -1;
    for (int64_t e = m.starts[i]; e < m.starts[i + 1]; ++e) {
      if (m.columns[e] <= before || m.columns[e] >= m.cols)
        fail("sparse", "expected columns that ascend from 0 to ", m.cols - 1, ", got others in row ", i);
      before = m.columns[e];
    }
  }
}

SparseRows make_rows(const py::array& values, const py::array_t<int32_t>& columns, const py::array_t<int64_t>& starts,
                     int64_t cols) {
  SparseRows rows{values, columns, starts, {}};
  for (const py::array& each : {values, py::array(columns), py::array(starts)})
    if (each.ndim() != 1 || (each.size() > 1 && each.strides(0) != each.itemsize()))
      fail("sparse", "expected contiguous arrays");
  if (starts.size() == 0) fail("sparse", "expected starts of rows, and the end");
  rows.matrix.values = vector(values, dtype_of(values, "sparse"), columns.size(), "sparse");
  rows.matrix.columns = columns.data();
  rows.matrix.starts = starts.data();
  rows.matrix.rows = starts.size() - 1;
  rows.matrix.cols = cols;
  check_entries(rows);
  return rows;
}

}  // namespace

Features features(const py::object& x, DType dtype, const Graph& graph, const char* where) {
  Features found;
  if (py::isinstance<SparseRows>(x)) {
    const auto& rows = x.cast<const SparseRows&>();
    if (graph.dense_reader() >= 0) fail(where, "expected dense features");
    if (dtype_of(rows.values, where) != dtype) fail(where, "expected sparse rows of ", name_of(dtype));
    found.sparse = rows.matrix;
  } else {
    found.dense = matrix(x.cast<py::array>(), dtype, where);
  }
  if (found.cols() != graph.width(0)) fail(where, "expected ", graph.width(0), " features, got ", found.cols());
  return found;
}

void bind_features(py::module_& module) {
  py::class_<SparseRows>(module, "SparseRows")
      .def(py::init(&make_rows), py::arg("values").noconvert(), py::arg("columns").noconvert(),
           py::arg("starts").noconvert(), py::arg("width"))
      .def_readonly("values", &SparseRows::values)
      .def_readonly("columns", &SparseRows::columns)
      .def_readonly("starts", &SparseRows::starts)
      .def_property_readonly("shape",
                             [](const SparseRows& rows) { return py::make_tuple(rows.matrix.rows, rows.matrix.cols); });
}

}  // namespace whet::bindings
