#include "graph/graph.h"

#include <algorithm>

#include "bindings/bindings.h"
#include "core/error.h"
#include "graph/program.h"

namespace whet::bindings {

void bind_graph(py::module_& module) {
  module.def("op_names", &op_names);
  py::class_<Graph, std::shared_ptr<Graph>>(module, "Graph")
      .def(py::init([](const Shape& input, const std::vector<std::tuple<std::string, Shape, bool>>& parameters) {
             std::vector<ParameterSpec> specs;
             for (const auto& [name, shape, trainable] : parameters) specs.push_back({name, shape, trainable});
             return std::make_shared<Graph>(input, std::move(specs));
           }),
           py::arg("input"), py::arg("parameters"))
      .def("add", &Graph::add, py::arg("op"), py::arg("options"), py::arg("inputs"), py::arg("parameters"))
      .def("set_output", &Graph::set_output, py::arg("value"))
      .def("add_target", &Graph::add_target, py::arg("shape"))
      .def("set_loss", &Graph::set_loss, py::arg("value"))
      .def_property_readonly("target", &Graph::target)
      .def("shape", [](const Graph& graph, int value) { return py::tuple(py::cast(graph.shape(value))); })
      .def_property_readonly("output", &Graph::output)
      .def_property_readonly("dense_reader", &Graph::dense_reader)
      .def_property_readonly("parameter_shapes",
                             [](const Graph& graph) {
                               std::vector<Shape> shapes;
                               for (const ParameterSpec& spec : graph.parameters()) shapes.push_back(spec.shape);
                               return shapes;
                             })
      .def_property_readonly("nodes",
                             [](const Graph& graph) {
                               py::list nodes;
                               for (const Node& node : graph.nodes()) {
                                 py::dict options;
                                 for (const auto& [name, value] : node.options) options[py::str(name)] = value;
                                 py::dict item;
                                 item["op"] = node.name;
                                 item["options"] = options;
                                 item["inputs"] = node.inputs;
                                 item["parameters"] = node.parameters;
                                 item["output"] = node.output;
                                 nodes.append(item);
                               }
                               return nodes;
                             })
      .def("plan",
           // The instructions of a training step, in words; see _core.pyi.
           [](const std::shared_ptr<Graph>& graph, const std::string& dtype) {
             const Program program(graph, cpu_device(parse_dtype(dtype)), 1, Purpose::train);
             // The activation that was fused into an instruction is the node that made its output.
             const auto activation = [&](const Instruction& instruction) -> std::string {
               if (!instruction.activation) return "";
               const auto& nodes = graph->nodes();
               return std::ranges::find(nodes, instruction.output, &Node::output)->name;
             };
             py::list steps;
             for (const Instruction& instruction : program.instructions()) {
               const auto& needed = instruction.needs_input_gradient;
               py::dict step;
               step["op"] = instruction.node->name;
               step["activation"] = activation(instruction);
               step["parameters"] = instruction.node->parameters;
               step["node"] = instruction.node - graph->nodes().data();
               step["output"] = instruction.output;
               step["input_gradient"] = std::find(needed.begin(), needed.end(), true) != needed.end();
               step["derivative"] = instruction.before < 0
                                        ? std::string()
                                        : activation(program.instructions()[static_cast<size_t>(instruction.before)]);
               steps.append(step);
             }
             return steps;
           });
}

}  // namespace whet::bindings
