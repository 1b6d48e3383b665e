// Activation functions and their backward forms where graphs carry them.
#include "node-agent/oracle/call.hpp"

#include <cmath>
#include <numbers>

namespace kevolve::agent::oracle {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double bounded(double x, double low, double high) { return x < low ? low : x > high ? high : x; } // NaN stays

template <class F>
results each(const call& c, F f) {
  return {map<double, double>(c.result_type(), as_reals(c.value("self")), f)};
}
template <class F>
results each_gradient(const call& c, std::string_view other, F f) {
  return {map<double, double>(c.result_type(), as_reals(c.value("grad_output")), as_reals(c.value(other)), f)};
}

results relu(const call& c) {
  tensor x = c.value("self");
  if (x.real())
    return {map<double, double>(x.type, x, [](double v) { return v < 0 ? 0 : v; })};
  return {map<std::int64_t, std::int64_t>(x.type, x, [](std::int64_t v) { return v < 0 ? 0 : v; })};
}

constexpr double tanh_scale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi; // sqrt(2 / pi)
constexpr double tanh_cubic = 0.044715;

results gelu(const call& c) {
  if (c.text("approximate", "none") == "tanh")
    return each(c, [](double x) { return 0.5 * x * (1 + std::tanh(tanh_scale * (x + tanh_cubic * x * x * x))); });
  return each(c, [](double x) { return 0.5 * x * std::erfc(-x * (1 / std::numbers::sqrt2)); });
}

results gelu_backward(const call& c) {
  if (c.text("approximate", "none") == "tanh")
    return each_gradient(c, "self", [](double g, double x) {
      double inner = std::tanh(tanh_scale * (x + tanh_cubic * x * x * x));
      double slope = (1 - inner * inner) * tanh_scale * (1 + 3 * tanh_cubic * x * x);
      return g * (0.5 * (1 + inner) + 0.5 * x * slope);
    });
  return each_gradient(c, "self", [](double g, double x) {
    double cumulative = 0.5 * std::erfc(-x / std::numbers::sqrt2);
    double density = std::exp(-0.5 * x * x) * (0.5 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi);
    return g * (cumulative + x * density);
  });
}

results elu(const call& c) {
  double alpha = c.real("alpha", 1), scale = c.real("scale", 1), input_scale = c.real("input_scale", 1);
  return each(c, [=](double x) { return x > 0 ? x * scale : std::expm1(x * input_scale) * (alpha * scale); });
}

results celu(const call& c) {
  double alpha = c.real("alpha", 1);
  return each(c, [=](double x) { return x > 0 ? x : alpha * std::expm1(x / alpha); });
}

results selu(const call& c) {
  constexpr double alpha = 1.6732632423543772848170429916717, scale = 1.0507009873554804934193349852946;
  return each(c, [](double x) { return x > 0 ? scale * x : scale * alpha * std::expm1(x); });
}

results softplus(const call& c) {
  double beta = c.real("beta", 1), threshold = c.real("threshold", 20);
  return each(c, [=](double x) { return x * beta > threshold ? x : std::log1p(std::exp(x * beta)) / beta; });
}

results threshold(const call& c) {
  double limit = c.real("threshold"), value = c.real("value");
  return each(c, [=](double x) { return x <= limit ? value : x; });
}

results hardtanh(const call& c) {
  double low = c.real("min_val", -1), high = c.real("max_val", 1);
  tensor x = c.value("self");
  if (!x.real())
    return {convert(map<double, double>(dtype::float64, as_reals(x), [=](double v) { return bounded(v, low, high); }), x.type)};
  return each(c, [=](double v) { return bounded(v, low, high); });
}

results leaky_relu(const call& c) {
  double slope = c.real("negative_slope", 0.01);
  return each(c, [=](double x) { return x > 0 ? x : x * slope; });
}

results log_sigmoid(const call& c) {
  auto out = each(c, [](double x) { return (x < 0 ? x : 0 * x) - std::log1p(std::exp(-std::abs(x))); });
  if (c.results() > 1) // PyTorch's second result is scratch for its backward pass
    out.push_back(map<double, double>(c.result_type(1), as_reals(c.value("self")), [](double x) { return std::exp(-std::abs(x)); }));
  return out;
}

results prelu(const call& c) {
  tensor x = c.value("self"), weight = c.value("weight");
  if (weight.rank() == 1 && x.rank() > 1 && weight.count() > 1) { // one per channel
    extents shape(x.shape.size(), 1);
    shape[1] = weight.count();
    weight = reshape(weight, shape);
  }
  return {map<double, double>(c.result_type(), x, weight, [](double v, double w) { return v > 0 ? v : v * w; })};
}

results glu(const call& c) {
  tensor x = c.value("self");
  auto dim = wrap_dimension(c.integer("dim", -1), x.rank());
  auto size = x.shape.at(static_cast<std::size_t>(dim));
  if (size % 2)
    refuse("glu halves dimension " + std::to_string(dim) + ", whose size is odd: " + std::to_string(size));
  return {map<double, double>(x.type, narrow(x, dim, 0, size / 2), narrow(x, dim, size / 2, size / 2),
                              [](double a, double b) { return a * sigmoid(b); })};
}

const entry table[] = {
    {"relu", relu},
    {"relu6", [](const call& c) { return each(c, [](double x) { return bounded(x, 0, 6); }); }},
    {"gelu", gelu},
    {"gelu_backward", gelu_backward},
    {"silu", [](const call& c) { return each(c, [](double x) { return x / (1 + std::exp(-x)); }); }},
    {"silu_backward", [](const call& c) {
       return each_gradient(c, "self", [](double g, double x) { return g * sigmoid(x) * (1 + x * (1 - sigmoid(x))); });
     }},
    {"mish", [](const call& c) { return each(c, [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }); }},
    {"elu", elu},
    {"celu", celu},
    {"selu", selu},
    {"softplus", softplus},
    {"threshold", threshold},
    {"threshold_backward", [](const call& c) {
       double limit = c.real("threshold");
       return each_gradient(c, "self", [=](double g, double x) { return x <= limit ? 0 : g; });
     }},
    {"hardtanh", hardtanh},
    {"hardsigmoid", [](const call& c) { return each(c, [](double x) { return bounded(x + 3, 0, 6) / 6; }); }},
    {"hardswish", [](const call& c) { return each(c, [](double x) { return x * bounded(x + 3, 0, 6) / 6; }); }},
    {"leaky_relu", leaky_relu},
    {"rrelu", [](const call& c) {
       if (c.flag("training"))
         refuse("rrelu in training mode draws at random: a reference must be deterministic");
       double slope = (c.real("lower", 0.125) + c.real("upper", 1.0 / 3)) / 2;
       return each(c, [=](double x) { return x >= 0 ? x : x * slope; });
     }},
    {"log_sigmoid", log_sigmoid},
    {"log_sigmoid_forward", log_sigmoid},
    {"prelu", prelu},
    {"_prelu_kernel", prelu},
    {"glu", glu},
    {"hardshrink", [](const call& c) {
       double limit = c.real("lambd", 0.5);
       return each(c, [=](double x) { return x >= -limit && x <= limit ? 0 : x; });
     }},
    {"softshrink", [](const call& c) {
       double limit = c.real("lambd", 0.5);
       return each(c, [=](double x) { return x > limit ? x - limit : x < -limit ? x + limit : x * 0; });
     }},
    {"tanh_backward", [](const call& c) { return each_gradient(c, "output", [](double g, double y) { return g * (1 - y * y); }); }},
    {"sigmoid_backward", [](const call& c) { return each_gradient(c, "output", [](double g, double y) { return g * y * (1 - y); }); }},
};

} // namespace

family activation_operations() { return table; }

} // namespace kevolve::agent::oracle
