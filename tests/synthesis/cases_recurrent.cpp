#include "tests/synthesis/cases.hpp"

namespace kevolve::cases {
namespace {

struct layers {
  std::string cell;
  std::int64_t gates = 1, count = 1;
  bool both = false, batch_first = false, biased = true, projected = false;
  std::int64_t width = 7;
};

/// A steps (or rows), B rows (or steps).
operator_definition recurrent(const std::string& name, const layers& of) {
  builder b(name, {{"I", 5}, {"H", of.width}, {"P", 3}});
  const std::string directions = of.both ? "2" : "1", state = of.projected ? "P" : "H", gates = std::to_string(of.gates) + "*H", slots = std::to_string(of.count * (of.both ? 2 : 1));
  std::vector<std::string> weights;
  const auto weight = [&](std::vector<std::string> shape) {
    const auto w = b.input("w" + std::to_string(weights.size()), std::move(shape));
    b.uniform(w, -0.5, 0.5);
    weights.push_back(w);
  };
  b.input("x", {"A", "B", "I"});
  const std::string rows = of.batch_first ? "A" : "B";
  b.input("h", {slots, rows, state});
  if (of.cell == "lstm")
    b.input("c", {slots, rows, "H"});
  for (std::int64_t layer = 0; layer < of.count; ++layer)
    for (int d = 0; d < (of.both ? 2 : 1); ++d) {
      weight({gates, layer == 0 ? "I" : directions + "*" + state});
      weight({gates, state});
      if (of.biased)
        weight({gates}), weight({gates});
      if (of.projected)
        weight({"P", "H"});
    }
  argument params;
  params.kind = argument_kind::list;
  for (const auto& w : weights)
    params.items.push_back(tensor(w));
  std::vector<graph_value> made{{"y", dtype::float32, {"A", "B", directions + "*" + state}}, {"h_n", dtype::float32, {slots, rows, state}}};
  if (of.cell == "lstm")
    made.push_back({"c_n", dtype::float32, {slots, rows, "H"}});
  for (const auto& out : b.ops("aten." + of.cell + ".input",
                               {{"input", tensor("x")}, {"hx", of.cell == "lstm" ? tensors({"h", "c"}) : tensor("h")}, {"params", params}, {"has_biases", boolean(of.biased)},
                                {"num_layers", integer(of.count)}, {"dropout", real(0)}, {"train", boolean(false)}, {"bidirectional", boolean(of.both)}, {"batch_first", boolean(of.batch_first)}},
                               made))
    b.output(out);
  return b.done();
}

} // namespace

void recurrent_layers(std::vector<operator_definition>& out) {
  out.push_back(recurrent("rnn_tanh", {"rnn_tanh"}));
  out.push_back(recurrent("rnn_relu_two_layers", {.cell = "rnn_relu", .count = 2, .batch_first = true, .biased = false}));
  out.push_back(recurrent("lstm", {.cell = "lstm", .gates = 4, .batch_first = true, .width = 37}));
  out.push_back(recurrent("lstm_both_two_layers", {.cell = "lstm", .gates = 4, .count = 2, .both = true}));
  out.push_back(recurrent("lstm_projected", {.cell = "lstm", .gates = 4, .count = 2, .biased = false, .projected = true}));
  out.push_back(recurrent("gru_three_layers", {.cell = "gru", .gates = 3, .count = 3}));
  out.push_back(recurrent("gru_both", {.cell = "gru", .gates = 3, .both = true, .batch_first = true, .width = 19}));
}

} // namespace kevolve::cases
