// Layers with a gradient of their own, against the same formula in double precision with autograd's gradient.
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/error.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/attention/rope.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/blocks/mlp.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/norm.h>
#include <antiphon/nn/testing.h>
#include <antiphon/nn/token_scores.h>

#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

std::vector<at::Tensor> gradients(const Function& function, const std::vector<at::Tensor>& inputs,
                                  const at::Tensor& upstream) {
  return torch::autograd::grad({function(inputs)}, inputs, {upstream});
}

// Value and gradients of `ours` in float32 against `formula` in float64.
void compare(const Function& ours, const Function& formula, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> singles, doubles;
  for (const auto& input : inputs) {
    singles.push_back(input.clone().set_requires_grad(true));
    doubles.push_back(input.to(at::kDouble).set_requires_grad(true));
  }
  const auto expected = formula(doubles);
  CHECK(relative_error(ours(singles).detach(), expected.detach()) < 1e-6);
  const auto upstream = random(expected.sizes(), 99);
  const auto got = gradients(ours, singles, upstream), wanted = gradients(formula, doubles, upstream.to(at::kDouble));
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("gradient " << i);
    CHECK(relative_error(got[i], wanted[i]) < 2e-6);
  }
}

double frequency(const RopeScaling& scaling, int64_t i, int64_t head_size, double theta) {
  const double plain = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_size));
  if (scaling.type == "linear") return plain / scaling.factor;
  if (scaling.type == "yarn") {
    const auto of_turns = [&](double turns) {
      return static_cast<double>(head_size) *
             std::log(static_cast<double>(scaling.original_max_positions) / (turns * 2 * M_PI)) / (2 * std::log(theta));
    };
    double low = of_turns(scaling.beta_fast), high = of_turns(scaling.beta_slow);
    if (scaling.truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0), high = std::min(high, static_cast<double>(head_size - 1));
    const double divided = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    return plain * (1 - divided) + plain / scaling.factor * divided;
  }
  if (scaling.type != "llama3") return plain;
  const double turns = static_cast<double>(scaling.original_max_positions) * plain / (2 * M_PI);
  if (turns > scaling.high_freq_factor) return plain;
  if (turns < scaling.low_freq_factor) return plain / scaling.factor;
  const double smooth = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return plain * smooth + plain / scaling.factor * (1 - smooth);
}

// Pairs (i, i + half) rotated as complex numbers.
at::Tensor turned(const at::Tensor& x, const at::Tensor& angles) {
  const auto halves = x.chunk(2, -1);
  const auto cos = angles.cos().unsqueeze(1).to(x.scalar_type()), sin = angles.sin().unsqueeze(1).to(x.scalar_type());
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

}  // namespace

TEST_CASE("RmsNorm: value and gradients are those of the formula") {
  for (const bool trained : {true, false}) {
    Norm norm(NormKind::rms, 24, 1e-3);
    norm.initialize(1, at::kCPU);
    auto& weight = *norm.parameters()[0].tensor;
    const auto ours = [&](const std::vector<at::Tensor>& in) {
      weight = trained ? in[1] : random({24}, 5);
      return norm.forward(in[0]);
    };
    const auto formula = [&](const std::vector<at::Tensor>& in) {
      return in[0] * (in[0].square().mean(-1, true) + 1e-3).rsqrt() *
             (trained ? in[1] : random({24}, 5).to(at::kDouble));
    };
    const std::vector<at::Tensor> both{random({7, 24}, 4) * 3, random({24}, 5)};
    compare(ours, formula, trained ? both : std::vector<at::Tensor>{both[0]});
  }
}

TEST_CASE("a norm with weight + 1: value and gradients are those of the formula, also in bf16") {
  Norm norm(NormKind::rms_plus_one, 24, 1e-3);
  norm.initialize(1, at::kCPU);
  CHECK(norm.weight().eq(0).all().item<bool>());
  auto& weight = *norm.parameters()[0].tensor;
  const auto formula = [](const std::vector<at::Tensor>& in) {
    return in[0] * (in[0].square().mean(-1, true) + 1e-3).rsqrt() * (in[1] + 1);
  };
  const std::vector<at::Tensor> both{random({7, 24}, 4) * 3, random({24}, 5)};
  compare([&](const auto& in) { return weight = in[1], norm.forward(in[0]); }, formula, both);
  // The sum is not rounded to bf16, the product is.
  const at::NoGradGuard guard;
  weight = (both[1] * 1e-3).to(at::kBFloat16);
  const auto x = both[0].to(at::kBFloat16), y = norm.forward(x);
  CHECK(at::equal(y, formula({x.to(at::kFloat), weight.to(at::kFloat)}).to(at::kBFloat16)));
}

TEST_CASE("scores of tokens by logits that are multiplied and capped") {
  const auto labels = at::tensor({3, 0, 10, 3, 7}, at::kLong);
  for (const LogitRule rule : {LogitRule{1, 2}, LogitRule{0.25, 0}, LogitRule{3, 1.5}}) {
    const auto formula = [&](const std::vector<at::Tensor>& in) {
      auto logits = in[0].matmul(in[1].t()) * rule.multiplier;
      if (rule.cap > 0) logits = (logits / rule.cap).tanh() * rule.cap;
      return at::log_softmax(logits, -1).gather(1, labels.unsqueeze(1)).squeeze(1);
    };
    compare([&](const auto& in) { return token_scores(in[0], in[1], labels, {.chunk = 2, .logits = rule}); }, formula,
            {random({5, 8}, 1), random({11, 8}, 2)});
  }
}

TEST_CASE("scores of tokens by a head with a low-rank change") {
  const auto labels = at::tensor({3, 0, 10, 3, 7}, at::kLong);
  const std::vector<at::Tensor> inputs{random({5, 8}, 1), random({11, 8}, 2), random({5, 3}, 3), random({11, 3}, 4)};
  const LogitRule rule{0.5, 2};
  const auto formula = [&](const std::vector<at::Tensor>& in) {
    const auto products = in[0].matmul(in[1].t()) + in[2].matmul(in[3].t());
    const auto logits = (products * rule.multiplier / rule.cap).tanh() * rule.cap;
    return at::log_softmax(logits, -1).gather(1, labels.unsqueeze(1)).squeeze(1);
  };
  const auto ours = [&](const std::vector<at::Tensor>& in, bool even) {
    return token_scores(in[0], in[1], labels, {.chunk = 2, .even_gradient = even, .logits = rule}, {in[2], in[3]});
  };
  compare([&](const auto& in) { return ours(in, false); }, formula, inputs);
  compare([&](const auto& in) { return ours(in, true).sum(); }, [&](const auto& in) { return formula(in).sum(); },
          inputs);
  // The change alone is trained, over a frozen head.
  const auto frozen = [&](const auto& of) {
    return [&](const std::vector<at::Tensor>& in) {
      const auto like = [&](size_t i) { return inputs[i].to(in[0].scalar_type()); };
      return of({like(0), like(1), in[0], in[1]});
    };
  };
  compare(frozen([&](const std::vector<at::Tensor>& in) { return ours(in, false); }), frozen(formula),
          {inputs[2], inputs[3]});
}

TEST_CASE("scores of tokens by a head with a change of some columns") {
  const auto labels = at::tensor({3, 0, 10, 3, 7}, at::kLong), ids = at::tensor({10, 0, 3}, at::kLong);
  const std::vector<at::Tensor> inputs{random({5, 8}, 1), random({11, 8}, 2), random({5, 3}, 3), random({5, 2}, 4),
                                       random({11, 2}, 5)};
  const LogitRule rule{0.5, 2};
  const auto formula = [&](const std::vector<at::Tensor>& in) {
    auto products = in[0].matmul(in[1].t()).index_add(1, ids, in[2]);
    if (in.size() > 3) products = products + in[3].matmul(in[4].t());
    const auto logits = (products * rule.multiplier / rule.cap).tanh() * rule.cap;
    return at::log_softmax(logits, -1).gather(1, labels.unsqueeze(1)).squeeze(1);
  };
  const auto ours = [&](const std::vector<at::Tensor>& in, bool even) {
    AddedProducts added{{}, {}, in[2], ids};
    if (in.size() > 3) added.inner_nr = in[3], added.outer_vr = in[4];
    return token_scores(in[0], in[1], labels, {.chunk = 2, .even_gradient = even, .logits = rule}, added);
  };
  for (const size_t count : {3, 5}) {
    const std::vector<at::Tensor> some(inputs.begin(), inputs.begin() + static_cast<int64_t>(count));
    compare([&](const auto& in) { return ours(in, false); }, formula, some);
    compare([&](const auto& in) { return ours(in, true).sum(); }, [&](const auto& in) { return formula(in).sum(); },
            some);
  }
  const auto frozen = [&](const auto& of) {
    return [&](const std::vector<at::Tensor>& in) {
      const auto like = [&](size_t i) { return inputs[i].to(in[0].scalar_type()); };
      return of(std::vector<at::Tensor>{like(0), like(1), in[0]});
    };
  };
  compare(frozen([&](const std::vector<at::Tensor>& in) { return ours(in, false); }), frozen(formula), {inputs[2]});
  // float16 has the digits of its gradients for them, too.
  const auto half = inputs[2].to(at::kHalf).set_requires_grad(true), whole = inputs[2].clone().set_requires_grad(true);
  const auto sum = [&](const at::Tensor& columns) {
    const auto like = [&](size_t i) { return inputs[i].to(columns.scalar_type()); };
    return ours({like(0), like(1), columns}, false).sum();
  };
  sum(half).backward(), sum(whole).backward();
  CHECK(relative_error(half.grad().to(at::kFloat), whole.grad()) < 1e-2);
}

TEST_CASE("RmsNorm in bf16 takes its statistics in float32 and keeps the dtype") {
  Norm norm(NormKind::rms, 64, 1e-6);
  norm.initialize(1, at::kCPU);
  const auto x = (random({5, 64}, 3) * 300).to(at::kBFloat16);
  const auto y = norm.forward(x);
  CHECK(y.scalar_type() == at::kBFloat16);
  const auto x64 = x.to(at::kDouble);
  CHECK(relative_error(y.detach(), x64 * (x64.square().mean(-1, true) + 1e-6).rsqrt()) < 0.008);
}

TEST_CASE("swiglu: value and gradients are those of the formula") {
  const auto ours = [](const std::vector<at::Tensor>& in) { return swiglu(in[0], in[1]); };
  const auto formula = [](const std::vector<at::Tensor>& in) { return in[0] / (1 + at::exp(-in[0])) * in[1]; };
  compare(ours, formula, {random({9, 16}, 1) * 4, random({9, 16}, 2)});
}

TEST_CASE("rope: value and gradients are those of the formula, for every scaling") {
  const std::vector<int64_t> positions{0, 1, 2, 5, 0, 1, 4095, 100000};
  const int64_t head_size = 32;
  const std::vector<RopeScaling> scalings{
      {},
      {.type = "linear", .factor = 4},
      {.type = "llama3", .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_max_positions = 64},
      {.type = "yarn", .factor = 4, .original_max_positions = 4096},
      {.type = "yarn",
       .factor = 16,
       .original_max_positions = 512,
       .beta_fast = 16,
       .beta_slow = 2,
       .truncate = false}};
  for (const auto& scaling : scalings) {
    INFO(scaling.type);
    std::vector<double> angles;
    for (const auto position : positions)
      for (int64_t i = 0; i < head_size / 2; ++i)
        angles.push_back(static_cast<double>(position) * frequency(scaling, i, head_size, 10000));
    const auto angle = at::tensor(angles, at::kDouble).view({static_cast<int64_t>(positions.size()), head_size / 2});
    const auto table = Rope(head_size, 10000, scaling).table(at::tensor(positions, at::kLong).unsqueeze(0), at::kFloat);
    // float32 angles, as transformers computes them: the error of an angle is that of its size.
    const auto error = (table.cos_td.narrow(1, 0, head_size / 2).to(at::kDouble) - angle.cos()).abs() / (1 + angle);
    CHECK(error.max().item<double>() < 3e-7);
    CHECK(at::equal(table.cos_td.narrow(1, 0, 16), table.cos_td.narrow(1, 16, 16)));
    const auto exact =
        at::atan2(table.sin_td.narrow(1, 0, 16).to(at::kDouble), table.cos_td.narrow(1, 0, 16).to(at::kDouble));
    compare([&](const std::vector<at::Tensor>& in) { return apply_rope(in[0], table); },
            [&](const std::vector<at::Tensor>& in) { return turned(in[0], exact); },
            {random({static_cast<int64_t>(positions.size()), 3, head_size}, 8)});
  }
}

TEST_CASE(
    "longrope: texts turn by the factors of their length, all their tokens alike, and cos and sin are multiplied") {
  const RopeScaling scaling{.type = "longrope",
                            .original_max_positions = 6,
                            .short_factors = {1, 1.5, 2, 4},
                            .long_factors = {3, 5, 8, 64},
                            .table_multiplier = 1.25};
  const Rope rope(8, 10000, scaling);
  CHECK(rope.needs_last());
  CHECK_FALSE(Rope(8, 10000, {}).needs_last());
  const std::vector<int64_t> positions{0, 3, 5, 1, 6, 2}, last{5, 5, 5, 6, 6, 900};  // the last of a short text is 5
  const auto table = rope.table(at::tensor(positions, at::kLong).unsqueeze(0), at::kFloat, at::tensor(last, at::kLong));
  for (size_t t = 0; t < positions.size(); ++t)
    for (size_t i = 0; i < 4; ++i) {
      const double factor = (last[t] < 6 ? scaling.short_factors : scaling.long_factors)[i];
      const double angle =
          static_cast<double>(positions[t]) * std::pow(10000, -2 * static_cast<double>(i) / 8) / factor;
      for (const size_t column : {i, i + 4}) {
        const auto entry = [&](const at::Tensor& x) {
          return x[static_cast<int64_t>(t)][static_cast<int64_t>(column)].item<double>();
        };
        CHECK(std::abs(entry(table.cos_td) - 1.25 * std::cos(angle)) < 1e-6);
        CHECK(std::abs(entry(table.sin_td) - 1.25 * std::sin(angle)) < 1e-6);
      }
    }
}

TEST_CASE("dynamic: beyond the original positions a text turns by a theta that grows with its length") {
  const RopeScaling scaling{.type = "dynamic", .factor = 2.5, .original_max_positions = 6};
  const Rope rope(8, 10000, scaling);
  CHECK(rope.needs_last());
  const std::vector<int64_t> positions{0, 3, 5, 1, 6, 2, 40}, last{5, 5, 4, 6, 6, 90, 90};
  const auto table = rope.table(at::tensor(positions, at::kLong).unsqueeze(0), at::kFloat, at::tensor(last, at::kLong));
  for (size_t t = 0; t < positions.size(); ++t)
    for (size_t i = 0; i < 4; ++i) {
      const double stretched = 1 + 2.5 * (static_cast<double>(std::max<int64_t>(last[t] + 1, 6)) / 6 - 1);
      const double theta = 10000 * std::pow(stretched, 8.0 / 6);
      const double angle = static_cast<double>(positions[t]) * std::pow(theta, -2 * static_cast<double>(i) / 8);
      const auto row = static_cast<int64_t>(t), column = static_cast<int64_t>(i);
      CHECK(std::abs(table.cos_td[row][column].item<double>() - std::cos(angle)) < 2e-6);
      CHECK(std::abs(table.sin_td[row][column + 4].item<double>() - std::sin(angle)) < 2e-6);
    }
  CHECK_THROWS_WITH(Rope(8, 10000, scaling, {0, 1, 2, 0}), Catch::Matchers::ContainsSubstring("several axes"));
  CHECK_THROWS_WITH(Rope(2, 10000, scaling), Catch::Matchers::ContainsSubstring("one frequency"));
}

TEST_CASE("rope over several axes: each frequency turns by the position on its axis") {
  const auto positions = at::tensor({7, 8, 100, 7, 9, 3, 7, 8, 55}, at::kLong).view({3, 3});
  const auto axes = axes_of_sections({1, 2, 3, 2}, 3);
  CHECK(axes == std::vector<int64_t>{0, 1, 1, 2, 2, 2, 0, 0});
  const auto table = Rope(16, 10000, {}, axes).table(positions, at::kFloat);
  for (int64_t i = 0; i < 8; ++i) {
    const auto one = Rope(16, 10000, {}).table(positions.narrow(0, axes[static_cast<size_t>(i)], 1), at::kFloat);
    for (const int64_t column : {i, i + 8}) {
      CHECK(relative_error(table.cos_td.select(1, column), one.cos_td.select(1, i)) < 1e-6);
      CHECK(relative_error(table.sin_td.select(1, column), one.sin_td.select(1, i)) < 1e-6);
    }
  }
  CHECK_THROWS_AS(Rope(16, 10000, {}, axes).table(positions.narrow(0, 0, 2), at::kFloat), Error);
}

TEST_CASE("rope of a grid: the first half of the frequencies turns by the row, the other by the column") {
  const auto positions = at::tensor({0, 3, 5, 2, 2, 9}, at::kLong).view({2, 3});
  const auto table = Rope::of_grid(12, 10000).table(positions, at::kFloat);
  for (const int64_t axis : {0, 1}) {
    const auto one = Rope(6, 10000, {}).table(positions.narrow(0, axis, 1), at::kFloat);
    for (const int64_t begin : {3 * axis, 6 + 3 * axis}) {
      CHECK(relative_error(table.cos_td.narrow(1, begin, 3), one.cos_td.narrow(1, 0, 3)) < 1e-6);
      CHECK(relative_error(table.sin_td.narrow(1, begin, 3), one.sin_td.narrow(1, 0, 3)) < 1e-6);
    }
  }
}

TEST_CASE("rope over a part of a head leaves the rest as it is") {
  const auto table =
      Rope(8, 10000, {}).table(at::tensor(std::vector<int64_t>{3, 900}, at::kLong).unsqueeze(0), at::kFloat);
  compare([&](const std::vector<at::Tensor>& in) { return apply_rope(in[0], table); },
          [&](const std::vector<at::Tensor>& in) {
            const auto angles = at::atan2(table.sin_td, table.cos_td).narrow(1, 0, 4).to(at::kDouble);
            return at::cat({turned(in[0].narrow(2, 0, 8), angles), in[0].narrow(2, 8, 6)}, 2);
          },
          {random({2, 3, 14}, 8)});
}

TEST_CASE("layer norms: with the weight as it is, and around zero") {
  for (const auto kind : {NormKind::layer, NormKind::layer_plus_one}) {
    Norm norm(kind, 24, 1e-3);
    norm.initialize(1, at::kCPU);
    auto parameters = norm.parameters();
    const auto ours = [&](const std::vector<at::Tensor>& in) {
      *parameters[0].tensor = in[1], *parameters[1].tensor = in[2];
      return norm.forward(in[0]);
    };
    const auto formula = [&](const std::vector<at::Tensor>& in) {
      const auto centred = in[0] - in[0].mean(-1, true);
      const auto weight = kind == NormKind::layer ? in[1] : in[1] + 1;
      return centred * (centred.square().mean(-1, true) + 1e-3).rsqrt() * weight + in[2];
    };
    compare(ours, formula, {random({7, 24}, 4) * 3, random({24}, 5), random({24}, 6)});
  }
}

TEST_CASE("rope: a score depends on the distance alone") {
  const Rope rope(16, 10000, {});
  const auto q = random({1, 1, 16}, 1), k = random({1, 1, 16}, 2);
  const auto at_position = [&](const at::Tensor& x, int64_t position) {
    return apply_rope(x, rope.table(at::tensor({position}, at::kLong).unsqueeze(0), at::kFloat)).flatten();
  };
  const double near = at_position(q, 7).dot(at_position(k, 3)).item<double>(),
               far = at_position(q, 207).dot(at_position(k, 203)).item<double>();
  CHECK(std::abs(near - far) < 1e-4);
}

TEST_CASE("an activation writes over what nothing else holds, and over nothing else") {
  const auto x = random({5, 7}, 3), kept = x.clone();
  for (const auto& name : activation_names()) {
    INFO(name);
    const auto expected = activate(name, x);
    const at::NoGradGuard guard;
    CHECK(relative_error(activate(name, x), expected) < 1e-6);
    CHECK(at::equal(x, kept));
    const auto alias = x.clone();
    CHECK(relative_error(activate(name, alias.view({7, 5})).view({5, 7}), expected) < 1e-6);
    CHECK(at::equal(alias, kept));
    auto spare = x.clone();
    const void* place = spare.const_data_ptr();
    const auto y = activate(name, std::move(spare));
    CHECK(relative_error(y, expected) < 1e-6);
    CHECK((y.const_data_ptr() == place) == (name != "relu2"));
  }
}

// What compares a model with a copy of itself relies on it.
TEST_CASE("activations round alike with a gradient and without") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto x = (random({9, 40}, 5) * 4).to(type);
    for (const auto& name : activation_names()) {
      INFO(name);
      const auto trained = activate(name, x.clone().set_requires_grad(true));
      const at::NoGradGuard guard;
      CHECK(at::equal(activate(name, x.clone()), trained));
    }
  }
  compare([](const auto& in) { return activate("quick_gelu", in[0]); },
          [](const auto& in) { return in[0] * at::sigmoid(1.702 * in[0]); }, {random({7, 9}, 6) * 3});
}

TEST_CASE("activations go by the names of Hugging Face") {
  const auto x = random({50}, 1) * 3;
  const auto x64 = x.to(at::kDouble);
  CHECK(relative_error(activate("gelu", x), x64 * 0.5 * (1 + at::erf(x64 / std::sqrt(2.0)))) < 1e-6);
  CHECK(relative_error(activate("gelu_new", x),
                       0.5 * x64 * (1 + at::tanh(std::sqrt(2 / M_PI) * (x64 + 0.044715 * x64.pow(3))))) < 1e-6);
  CHECK(at::equal(activate("relu", x), x.clamp_min(0)));
  CHECK(relative_error(activate("silu", x), x64 / (1 + at::exp(-x64))) < 1e-6);
  CHECK(at::equal(activate("swish", x), activate("silu", x)));
  for (const auto& name : activation_names()) CHECK_NOTHROW(activate(name, x));
  CHECK_THROWS_AS(activate("selu2", x), Error);
}

TEST_CASE("linear, by oneDNN: value and gradients are those of the formula, of whichever are wanted") {
  const auto before = kernels::set_smallest_fast_mm(1);
  const auto x = random({2, 7, 33}, 1), w = random({18, 33}, 2), bias = random({18}, 3);
  const auto with_bias = [](const auto& in) { return nn::linear(in[0], in[1], in[2]); };
  const auto formula = [](const auto& in) { return at::matmul(in[0], in[1].t()) + in[2]; };
  compare(with_bias, formula, {x, w, bias});
  compare([](const auto& in) { return nn::linear(in[0], in[1]); },
          [](const auto& in) { return at::matmul(in[0], in[1].t()); }, {x, w});
  compare([&](const auto& in) { return nn::linear(in[0], w, bias); },
          [&](const auto& in) { return at::matmul(in[0], w.to(at::kDouble).t()) + bias.to(at::kDouble); }, {x});
  compare([&](const auto& in) { return nn::linear(x, w, in[0]); },
          [&](const auto& in) { return at::matmul(x, w.t()).to(at::kDouble) + in[0]; }, {bias});
  CHECK_FALSE(nn::linear(x, w, bias).requires_grad());
  kernels::set_smallest_fast_mm(before);
}

TEST_CASE("linear with a frozen bfloat16 matrix beside float32: value and gradients are those of its values") {
  const auto w = random({9, 8}, 2).to(at::kBFloat16);
  compare([&](const auto& in) { return linear(in[0], matrix_like(w, in[0]), in[1]); },
          [&](const auto& in) { return at::linear(in[0], w.to(at::kDouble), in[1]); },
          {random({2, 5, 8}, 1), random({9}, 3)});
  CHECK(matrix_like(w, random({1, 8}, 1)).is_same(w));
  CHECK(matrix_like(w.to(at::kFloat).requires_grad_(), random({1, 8}, 1).to(at::kBFloat16)).scalar_type() ==
        at::kBFloat16);
}

TEST_CASE("a linear layer is x Wt + b, casts its float32 master, and is a site with its path") {
  Mlp mlp(6, 10, 3, 2, "relu");
  mlp.initialize(3, at::kCPU);
  const auto parameters = mlp.parameters();
  REQUIRE(parameters.size() == 4);
  CHECK(parameters[0].name == "0.weight");
  CHECK(parameters[3].name == "1.bias");
  CHECK(mlp.sites().size() == 2);
  CHECK(mlp.sites()[1].path == "1");
  *parameters[1].tensor = random({10}, 4);
  const auto x = random({2, 5, 6}, 5);
  const auto expected = at::matmul(at::relu(at::matmul(x, parameters[0].tensor->t()) + *parameters[1].tensor),
                                   parameters[2].tensor->t()) +
                        *parameters[3].tensor;
  CHECK(relative_error(mlp.forward(x).detach(), expected.detach()) < 1e-5);
  const auto half = mlp.forward(x.to(at::kBFloat16));
  CHECK(half.scalar_type() == at::kBFloat16);
  CHECK(relative_error(half.detach(), expected.detach()) < 0.03);
}

TEST_CASE("a decoder declares what its parameters are") {
  DecoderOptions options;
  options.vocab_size = 12, options.hidden_size = 8, options.intermediate_size = 10, options.num_layers = 1;
  options.num_heads = options.num_kv_heads = 2, options.head_size = 4, options.qkv_bias = true;
  Decoder decoder(options);
  for (const auto& parameter : decoder.parameters()) {
    INFO(parameter.name);
    const bool table = parameter.name == "embed_tokens" || parameter.name == "lm_head";
    CHECK((parameter.role == Role::embedding) == table);
    CHECK((parameter.role == Role::vector) == (parameter.tensor->dim() == 1));
  }
}
