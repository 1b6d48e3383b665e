// Recurrent layers as one operation each (ATen unrolls them to thousands): lstm, gru, rnn_tanh, rnn_relu, as PyTorch's modules define them.
#include "node-agent/oracle/call.hpp"
#include "node-agent/oracle/gemm.hpp"

#include <cmath>

namespace kevolve::agent::oracle {
namespace {

using integer = std::int64_t;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct weights {
  tensor input, hidden;                             // [gates * H, in], [gates * H, H]
  std::optional<tensor> input_bias, hidden_bias, projection;
};

/// x[rows, in] * w^T + b: [rows, out], dense.
tensor affine(const tensor& x, const tensor& w, const std::optional<tensor>& b) {
  tensor left = contiguous(x), right = contiguous(w);
  tensor out = make_filled<double>(x.type, {left.shape.at(0), right.shape.at(0)}, 0.0);
  accumulate_product(left.shape[0], right.shape[0], left.shape[1], {data<double>(left), left.shape[1], 1},
                     {data<double>(right), 1, right.shape[1]}, mutable_data<double>(out), right.shape[0]);
  if (b)
    out = map<double, double>(out.type, out, *b, [](double p, double q) { return p + q; });
  return out;
}

enum class cell { lstm, gru, tanh, relu };

/// One step for all rows: h (and c) from the gates' sums of the input and of the hidden state.
void step(cell kind, integer rows, integer width, const double* in, const double* rec, double* h, double* c) {
  integer gates = kind == cell::lstm ? 4 : kind == cell::gru ? 3 : 1;
  for (integer r = 0; r < rows; ++r)
    for (integer j = 0; j < width; ++j) {
      const double* a = in + r * gates * width + j;
      const double* b = rec + r * gates * width + j;
      double& state = h[r * width + j];
      auto sum = [&](integer gate) { return a[gate * width] + b[gate * width]; };
      if (kind == cell::lstm) {
        double& memory = c[r * width + j];
        memory = sigmoid(sum(1)) * memory + sigmoid(sum(0)) * std::tanh(sum(2));
        state = sigmoid(sum(3)) * std::tanh(memory);
      } else if (kind == cell::gru) {
        double update = sigmoid(sum(1));
        double fresh = std::tanh(a[2 * width] + sigmoid(sum(0)) * b[2 * width]);
        state = (1 - update) * fresh + update * state;
      } else {
        double v = sum(0);
        state = kind == cell::tanh ? std::tanh(v) : v < 0 ? 0 : v;
      }
    }
}

struct run_state {
  tensor h, c;
};

/// One layer in one direction over x [time, batch, in]; writes its outputs into `out` [time, batch, width] (a window), leaves the state.
void run_layer(cell kind, const tensor& x, const weights& w, bool backward, run_state& s, tensor& out, const tensor& window) {
  auto time = x.shape.at(0), batch = x.shape.at(1), width = w.hidden.shape.at(0) / (kind == cell::lstm ? 4 : kind == cell::gru ? 3 : 1);
  tensor all = affine(reshape(x, {time * batch, x.shape.at(2)}), w.input, w.input_bias);
  auto gates = all.shape[1];
  for (integer i = 0; i < time; ++i) {
    auto t = backward ? time - 1 - i : i;
    tensor recurrent = affine(s.h, w.hidden, w.hidden_bias);
    tensor next = w.projection ? make<double>(x.type, {batch, width}) : copy_of(s.h);
    tensor memory = kind == cell::lstm ? copy_of(s.c) : tensor{};
    step(kind, batch, width, data<double>(all) + t * batch * gates, data<double>(recurrent), mutable_data<double>(next),
         kind == cell::lstm ? mutable_data<double>(memory) : nullptr);
    s.h = w.projection ? affine(next, *w.projection, {}) : next;
    s.c = memory;
    write_window(out, select(window, 0, t), s.h);
  }
}

tensor stacked(const std::vector<tensor>& parts) {
  extents shape = parts[0].shape;
  shape.insert(shape.begin(), static_cast<integer>(parts.size()));
  tensor out = make<double>(parts[0].type, shape);
  for (std::size_t i = 0; i < parts.size(); ++i)
    write_window(out, select(out, 0, static_cast<integer>(i)), parts[i]);
  return out;
}

template <cell Kind>
results recurrent(const call& c) {
  tensor x = as_reals(c.value("input"));
  bool batch_first = c.flag("batch_first"), both = c.flag("bidirectional"), biases = c.flag("has_biases", true);
  if (c.flag("train") && c.real("dropout", 0) != 0)
    refuse("dropout between layers draws at random: a reference must be deterministic");
  std::vector<tensor> states;
  if (Kind == cell::lstm)
    for (auto& t : c.values("hx"))
      states.push_back(*t);
  else
    states.push_back(c.value("hx"));
  auto params = c.values("params");
  bool single = x.rank() == 2; // no batch
  if (single) {
    x = unsqueeze(x, 1);
    for (auto& t : states)
      t = unsqueeze(t, 1);
  } else if (batch_first) {
    x = permute(x, {1, 0, 2});
  }
  auto layers = c.integer("num_layers");
  std::size_t directions = both ? 2 : 1, per = (biases ? 4 : 2);
  if (Kind == cell::lstm && params.size() == static_cast<std::size_t>(layers) * directions * (per + 1))
    ++per; // with projection
  if (params.size() != static_cast<std::size_t>(layers) * directions * per)
    refuse(std::to_string(params.size()) + " weights for " + std::to_string(layers) + " layers");
  std::vector<tensor> last_h, last_c;
  for (integer layer = 0; layer < layers; ++layer) {
    auto width = states[0].shape.at(2);
    tensor out = make<double>(x.type, {x.shape[0], x.shape[1], width * static_cast<integer>(directions)});
    for (std::size_t d = 0; d < directions; ++d) {
      auto slot = static_cast<std::size_t>(layer) * directions + d;
      auto p = params.begin() + static_cast<std::ptrdiff_t>(slot * per);
      weights w{*p[0], *p[1], biases ? p[2] : std::nullopt, biases ? p[3] : std::nullopt,
                per % 2 ? p[static_cast<std::ptrdiff_t>(per) - 1] : std::nullopt};
      run_state s{contiguous(select(states[0], 0, static_cast<integer>(slot))),
                  Kind == cell::lstm ? contiguous(select(states.at(1), 0, static_cast<integer>(slot))) : tensor{}};
      run_layer(Kind, x, w, d == 1, s, out, narrow(out, 2, static_cast<integer>(d) * width, width));
      last_h.push_back(s.h);
      last_c.push_back(s.c);
    }
    x = out;
  }
  results out{single ? select(x, 1, 0) : batch_first ? permute(x, {1, 0, 2}) : x, stacked(last_h)};
  if (Kind == cell::lstm)
    out.push_back(stacked(last_c));
  if (single)
    for (std::size_t i = 1; i < out.size(); ++i)
      out[i] = select(out[i], 1, 0);
  return out;
}

const entry table[] = {
    {"lstm.input", recurrent<cell::lstm>},
    {"gru.input", recurrent<cell::gru>},
    {"rnn_tanh.input", recurrent<cell::tanh>},
    {"rnn_relu.input", recurrent<cell::relu>},
};

} // namespace

family recurrent_operations() { return table; }

} // namespace kevolve::agent::oracle
