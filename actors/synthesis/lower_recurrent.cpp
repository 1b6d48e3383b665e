// Recurrent layers. What the inputs add to the gates is one product over all steps, made before the loop; in the loop remain the product with the
// hidden state and the cell itself. Steps run from 0; the backward direction reads its inputs, and is read, from the end.
#include "actors/synthesis/algebra.hpp"
#include "actors/synthesis/lower.hpp"

namespace kevolve::synthesis {
namespace {

enum class cell { lstm, gru, tanh, relu };

constexpr std::int64_t gates_of(cell kind) { return kind == cell::lstm ? 4 : kind == cell::gru ? 3 : 1; }

struct layer_weights {
  tensor_ref input, hidden; // [gates * width, inputs], [gates * width, state]
  std::optional<tensor_ref> input_bias, hidden_bias, projection;
};

/// [time, batch, width] or [batch, time, width].
struct sequence {
  tensor_ref what;
  bool batch_first = false;
  [[nodiscard]] index steps() const { return what.shape[batch_first ? 1 : 0]; }
  [[nodiscard]] index batch() const { return what.shape[batch_first ? 0 : 1]; }
  [[nodiscard]] std::vector<index> place(const index& time, const index& row, const index& column) const {
    return batch_first ? std::vector<index>{row, time, column} : std::vector<index>{time, row, column};
  }
};

/// What a layer leaves in one direction: states of which the hidden one stays for every step ([0] is before the first).
struct course {
  tensor_ref hidden, memory;
};

class direction {
public:
  direction(lowering& l, cell kind, std::string name, const layer_weights& w) : l_(l), kind_(kind), name_(std::move(name)), w_(w), width_(floor_div(w.hidden.shape[0], gates_of(kind))) {}

  course run(const sequence& x, bool backward, const tensor_ref& first_hidden, const std::optional<tensor_ref>& first_memory) {
    const auto from_input = input_part(x);
    const auto type = x.what.type;
    const auto as_given = [&](const tensor_ref& t) { return [&](const std::vector<index>& at) { return l_.read(t, at); }; };
    course out;
    out.hidden = l_.state(name_ + "h", type, {x.batch(), w_.hidden.shape[1]}, x.steps(), true, as_given(first_hidden));
    if (kind_ == cell::lstm)
      out.memory = l_.state(name_ + "c", type, {x.batch(), width_}, x.steps(), false, as_given(*first_memory));
    const index step = l_.begin_steps(x.steps());
    const tensor_ref hidden = l_.at_step(out.hidden, step);
    const index time = backward ? x.steps() - 1 - step : step;
    const auto product = l_.reduce(name_ + "recurrent", type, {x.batch(), w_.hidden.shape[0], w_.hidden.shape[1]}, {2}, false, combiner::sum,
                                   [&](const std::vector<index>& at) { return l_.read(hidden, {at[0], at[2]}) * l_.read(w_.hidden, {at[1], at[2]}); });
    const gates g{[&](const std::vector<index>& at, int gate) { return l_.read(from_input, x.place(time, at[0], at[1] + width_ * index(gate))); },
                  [&](const std::vector<index>& at, int gate) {
                    const index column = at[1] + width_ * index(gate);
                    const auto sum = l_.read(product, {at[0], column});
                    return kind_ == cell::gru && w_.hidden_bias ? sum + l_.read(*w_.hidden_bias, {column}) : sum;
                  }};
    if (kind_ == cell::lstm)
      lstm(x, g, out, l_.at_step(out.memory, step));
    else if (kind_ == cell::gru)
      gru(x, g, out, hidden);
    else
      simple(x, g, out);
    l_.end_steps();
    return out;
  }

private:
  using part = std::function<expr_ref(const std::vector<index>& at, int gate)>;
  struct gates {
    part input, hidden;
    expr_ref operator()(const std::vector<index>& at, int gate) const { return input(at, gate) + hidden(at, gate); }
  };

  /// x W^T and the biases that are only added, for all steps.
  tensor_ref input_part(const sequence& x) {
    const auto& shape = x.what.shape;
    const std::vector<index> space{shape[0], shape[1], w_.input.shape[0], w_.input.shape[1]};
    const auto product = l_.reduce(name_ + (w_.input_bias ? "product" : "input"), x.what.type, space, {3}, false, combiner::sum, [&](const std::vector<index>& at) {
      return l_.read(x.what, {at[0], at[1], at[3]}) * l_.read(w_.input, {at[2], at[3]});
    });
    if (!w_.input_bias)
      return product;
    return l_.map(name_ + "input", x.what.type, {space[0], space[1], space[2]}, [&](const std::vector<index>& at) {
      const auto sum = l_.read(product, at) + l_.read(*w_.input_bias, {at[2]});
      return kind_ == cell::gru ? sum : sum + l_.read(*w_.hidden_bias, {at[2]});
    });
  }

  void simple(const sequence& x, const gates& g, const course& out) {
    l_.next(name_ + "h_next", out.hidden, {x.batch(), width_}, [&](const std::vector<index>& at) {
      return kind_ == cell::tanh ? call(op::tanh, g(at, 0)) : call(op::maximum, g(at, 0), number(0));
    });
  }

  void gru(const sequence& x, const gates& g, const course& out, const tensor_ref& hidden) {
    l_.next(name_ + "h_next", out.hidden, {x.batch(), width_}, [&](const std::vector<index>& at) {
      const auto update = sigmoid(g(at, 1));
      const auto fresh = call(op::tanh, g.input(at, 2) + sigmoid(g(at, 0)) * g.hidden(at, 2));
      return (number(1) - update) * fresh + update * l_.read(hidden, at);
    });
  }

  void lstm(const sequence& x, const gates& g, const course& out, const tensor_ref& before) {
    const std::vector<index> shape{x.batch(), width_};
    const auto memory = l_.next(name_ + "c_next", out.memory, shape, [&](const std::vector<index>& at) {
      return sigmoid(g(at, 1)) * l_.read(before, at) + sigmoid(g(at, 0)) * call(op::tanh, g(at, 2));
    });
    const auto visible = [&](const std::vector<index>& at) { return sigmoid(g(at, 3)) * call(op::tanh, l_.read(memory, at)); };
    if (!w_.projection)
      return void(l_.next(name_ + "h_next", out.hidden, shape, visible));
    const auto whole = l_.map(name_ + "visible", out.hidden.type, shape, visible);
    const auto& p = *w_.projection;
    const auto product = l_.reduce(name_ + "projection", out.hidden.type, {x.batch(), p.shape[0], p.shape[1]}, {2}, false, combiner::sum,
                                   [&](const std::vector<index>& at) { return l_.read(whole, {at[0], at[2]}) * l_.read(p, {at[1], at[2]}); });
    l_.next(name_ + "h_next", out.hidden, {x.batch(), p.shape[0]}, [&](const std::vector<index>& at) { return l_.read(product, at); });
  }

  lowering& l_;
  cell kind_;
  std::string name_;
  const layer_weights& w_;
  index width_; // of a gate
};

/// Both directions' outputs side by side, in the order of time.
sequence joined(lowering& l, const std::string& name, const sequence& x, const std::vector<course>& both, bool batch_first) {
  const index steps = x.steps(), width = both[0].hidden.shape[2];
  if (both.size() == 1) {
    const auto out = l.view(both[0].hidden, {steps, x.batch(), width}, [](const std::vector<index>& at) { return std::vector<index>{at[0] + 1, at[1], at[2]}; });
    return {out, false};
  }
  sequence out{{}, batch_first};
  out.what = l.map(name, x.what.type, out.place(steps, x.batch(), width + width), [&](const std::vector<index>& at) {
    const index time = batch_first ? at[1] : at[0], row = batch_first ? at[0] : at[1], backward = at[2] - width, forward = width - 1 - at[2];
    return make(op::select, {in_range({forward}), l.read(both[0].hidden, {time + 1, row, at[2]}, {forward}), l.read(both[1].hidden, {steps - time, row, backward}, {backward})});
  });
  return out;
}

/// One of several equal tensors by the first index.
tensor_ref stacked(lowering& l, const std::string& name, const std::vector<tensor_ref>& parts) {
  std::vector<index> shape = parts[0].shape;
  shape.insert(shape.begin(), index(static_cast<std::int64_t>(parts.size())));
  return l.map(name, parts[0].type, shape, [&](const std::vector<index>& at) {
    const std::vector<index> rest(at.begin() + 1, at.end());
    expr_ref out;
    for (std::size_t p = parts.size(); p-- > 0;) {
      const auto part = l.read(parts[p], rest);
      out = out ? make(op::select, {in_range({index(static_cast<std::int64_t>(p)) - at[0]}), part, out}) : part;
    }
    return out;
  });
}

std::vector<tensor_ref> tensors_of(lowering& l, const std::string& argument_name) {
  std::vector<tensor_ref> out;
  const auto* a = l.find(argument_name);
  if (a != nullptr && a->kind == argument_kind::list)
    for (const auto& item : a->items)
      out.push_back(l.named(item.text));
  else
    out.push_back(l.tensor(argument_name));
  return out;
}

/// aten.lstm.input and its like: (input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first).
template <cell Kind>
void recurrent(lowering& l) {
  if (l.flag("train", false) && l.real("dropout").value_or(0) != 0)
    return l.fail("dropout between layers draws at random");
  sequence x{l.tensor("input"), l.flag("batch_first", false)};
  const auto first = tensors_of(l, "hx"), params = tensors_of(l, "params");
  const bool biased = l.flag("has_biases", true);
  if (x.what.shape.size() != 3)
    return l.fail("\"input\" has rank " + std::to_string(x.what.shape.size()) + ", expected 3");
  const auto layers = static_cast<std::size_t>(l.integer("num_layers", 1));
  const std::size_t directions = l.flag("bidirectional", false) ? 2 : 1, plain = biased ? 4 : 2;
  const bool projects = Kind == cell::lstm && params.size() == layers * directions * (plain + 1);
  if (params.size() != layers * directions * (plain + (projects ? 1 : 0)) || first.size() != (Kind == cell::lstm ? 2U : 1U))
    return l.fail(std::to_string(params.size()) + " weights for " + std::to_string(layers) + " layers");
  std::vector<tensor_ref> last_hidden, last_memory;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    std::vector<course> both;
    const auto name = l.name("l" + std::to_string(layer));
    for (std::size_t d = 0; d < directions; ++d) {
      const std::size_t slot = layer * directions + d;
      const auto* p = params.data() + slot * (plain + (projects ? 1 : 0));
      layer_weights w{p[0], p[1], {}, {}, {}};
      if (biased)
        w.input_bias = p[2], w.hidden_bias = p[3];
      if (projects)
        w.projection = p[plain];
      const auto of_slot = [&](const tensor_ref& t) {
        return l.view(t, {t.shape[1], t.shape[2]}, [&](const std::vector<index>& at) { return std::vector<index>{index(static_cast<std::int64_t>(slot)), at[0], at[1]}; });
      };
      std::optional<tensor_ref> memory;
      if (Kind == cell::lstm)
        memory = of_slot(first[1]);
      both.push_back(direction(l, Kind, name + (d == 1 ? ".back." : "."), w).run(x, d == 1, of_slot(first[0]), memory));
      last_hidden.push_back(l.at_step(both.back().hidden, x.steps()));
      if (Kind == cell::lstm)
        last_memory.push_back(l.at_step(both.back().memory, x.steps()));
    }
    x = joined(l, name + ".out", x, both, layer + 1 == layers && l.flag("batch_first", false));
  }
  auto out = x.what;
  if (l.flag("batch_first", false) && !x.batch_first)
    out = l.view(out, {out.shape[1], out.shape[0], out.shape[2]}, [](const std::vector<index>& at) { return std::vector<index>{at[1], at[0], at[2]}; });
  l.bind(0, out);
  l.bind(1, stacked(l, l.name("", 1), last_hidden));
  if (Kind == cell::lstm)
    l.bind(2, stacked(l, l.name("", 2), last_memory));
}

} // namespace

const lower_table& recurrent_rules() {
  static const lower_table table{{"lstm", recurrent<cell::lstm>}, {"gru", recurrent<cell::gru>}, {"rnn_tanh", recurrent<cell::tanh>}, {"rnn_relu", recurrent<cell::relu>}};
  return table;
}

} // namespace kevolve::synthesis
