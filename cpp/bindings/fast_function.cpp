#include <Python.h>
#include <structmember.h>

#include <cstddef>
#include <string>

#include "bindings/fast.h"

namespace whet::bindings::fast {

namespace {

std::span<const Definition> known;

/// A Python function with a fast way before it. Looks like the function: its name, its documentation and its signature
/// are copied by functools.update_wrapper, and it binds to objects as a function does.
struct Function {
  PyObject head;
  vectorcallfunc call;
  const Definition* definition;
  PyObject* thorough;
  PyObject* dictionary;
  PyObject* weak_references;
};

Function& function_of(PyObject* self) { return *reinterpret_cast<Function*>(self); }

/// False if the thorough way has to look at the arguments.
bool place(const Definition& definition, PyObject* const* given, Py_ssize_t count, PyObject* keywords, Call& call) {
  if (count > definition.required) return false;
  std::copy_n(given, count, call.arguments);
  const Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* const name = PyTuple_GET_ITEM(keywords, i);
    PyObject* const value = given[count + i];
    if (const auto place = definition.parameters.find(name)) {
      if (call.arguments[*place]) return false;
      call.arguments[*place] = value;
    } else {
      if (!definition.options || call.option_count == Call::kMost) return false;
      call.option[call.option_count++] = {name, value};
    }
  }
  return std::find(call.arguments, call.arguments + definition.required, nullptr) ==
         call.arguments + definition.required;
}

PyObject* call_function(PyObject* self, PyObject* const* given, size_t flags, PyObject* keywords) {
  const Function& function = function_of(self);
  const Definition& definition = *function.definition;
  Call call;
  if (place(definition, given, PyVectorcall_NARGS(flags), keywords, call)) {
    if (PyObject* const result = definition.body(call)) return result;
    if (PyErr_Occurred()) return nullptr;
  }
  return PyObject_Vectorcall(function.thorough, given, flags, keywords);
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"", nullptr};
  PyObject* thorough;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!:fast", const_cast<char**>(names), &PyFunction_Type,
                                   &thorough))
    return nullptr;
  try {
    const auto name = py::handle(thorough).attr("__name__").cast<std::string>();
    const auto found = std::find_if(known.begin(), known.end(), [&](const Definition& d) { return d.name == name; });
    if (found == known.end()) throw py::value_error("[fast] there is no fast way of a function " + name);
    const auto self = py::reinterpret_steal<py::object>(type->tp_alloc(type, 0));
    if (!self) return nullptr;
    Function& function = function_of(self.ptr());
    function.call = call_function;
    function.definition = &*found;
    function.thorough = Py_NewRef(thorough);
    py::module_::import("functools").attr("update_wrapper")(self, py::handle(thorough));
    return py::object(self).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  }
  return nullptr;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  const Function& function = function_of(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(function.thorough);
  Py_VISIT(function.dictionary);
  return 0;
}

// The thorough function stays, for finalizers may still call; a cycle through it is cut in its own dictionaries.
int clear(PyObject* self) {
  Py_CLEAR(function_of(self).dictionary);
  return 0;
}

void deallocate(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (function_of(self).weak_references) PyObject_ClearWeakRefs(self);
  clear(self);
  Py_CLEAR(function_of(self).thorough);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* represent(PyObject* self) {
  PyObject* const name = PyObject_GetAttrString(self, "__qualname__");
  PyObject* const text = name ? PyUnicode_FromFormat("<fast function %U at %p>", name, self) : nullptr;
  Py_XDECREF(name);
  return text;
}

PyObject* bind(PyObject* self, PyObject* instance, PyObject*) {
  return instance && instance != Py_None ? PyMethod_New(self, instance) : Py_NewRef(self);
}

/// Pickled by name; copies are the function itself.
PyObject* reduce(PyObject* self, PyObject*) { return PyObject_GetAttrString(self, "__qualname__"); }

}  // namespace

void add_decorator(py::module_& module, std::span<const Definition> definitions) {
  for (const Definition& definition : definitions)
    if (definition.parameters.size() > Call::kMost) throw std::length_error("a fast way has too many parameters");
  known = definitions;
  static PyMemberDef members[] = {
      {"__dictoffset__", T_PYSSIZET, offsetof(Function, dictionary), READONLY, nullptr},
      {"__weaklistoffset__", T_PYSSIZET, offsetof(Function, weak_references), READONLY, nullptr},
      {"__vectorcalloffset__", T_PYSSIZET, offsetof(Function, call), READONLY, nullptr},
      {}};
  static PyGetSetDef properties[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
                                     {}};
  static PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {}};
  static const char documentation[] =
      "Puts the fast way of the same name before a Python function, which gets the calls that the fast way declines.";
  static const auto slot = [](auto* function) { return reinterpret_cast<void*>(function); };
  PyType_Slot slots[] = {{Py_tp_new, slot(make)},
                         {Py_tp_dealloc, slot(deallocate)},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_call, slot(PyVectorcall_Call)},
                         {Py_tp_descr_get, slot(bind)},
                         {Py_tp_repr, slot(represent)},
                         {Py_tp_members, members},
                         {Py_tp_getset, properties},
                         {Py_tp_methods, methods},
                         {Py_tp_doc, const_cast<char*>(documentation)},
                         {0, nullptr}};
  PyType_Spec specification = {"whet._core.fast", sizeof(Function), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                                   Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_IMMUTABLETYPE,
                               slots};
  module.add_object("fast", py::reinterpret_steal<py::object>(PyType_FromSpec(&specification)));
}

}  // namespace whet::bindings::fast
