#include <antiphon/nn/attention/prefix.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/attention/spans.h>
#include <antiphon/nn/token_slices.h>

#include <numeric>
#include <utility>

namespace antiphon::nn {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Gradients of the layers' keys and values, in the backward pass.
struct Prefix::Gathered {
  explicit Gathered(size_t layers) : of_layers(layers) {}
  std::vector<at::Tensor> of_layers;  // undefined: none yet
};

namespace {

// Tokens of what stands before a sequence and of the sequence, in turn.
std::vector<int64_t> in_turn(const std::vector<int64_t>& lengths, int64_t before) {
  std::vector<int64_t> sizes;
  for (const auto length : lengths) sizes.insert(sizes.end(), {before, length});
  return sizes;
}

std::vector<at::Tensor> every_second(const std::vector<at::Tensor>& all, size_t first) {
  std::vector<at::Tensor> some;
  for (size_t i = first; i < all.size(); i += 2) some.push_back(all[i]);
  return some;
}

// `before` [n, heads, head_size] before each sequence of x [tokens, heads, head_size].
at::Tensor put_before(const at::Tensor& before, const at::Tensor& x_thd, const std::vector<int64_t>& lengths) {
  std::vector<at::Tensor> pieces;
  for (const auto& sequence : x_thd.split_with_sizes(lengths)) pieces.push_back(before), pieces.push_back(sequence);
  return at::cat(pieces);
}

// Where the spans are then.
std::vector<TokenSpan> put_before(int64_t before, const std::vector<int64_t>& lengths,
                                  const std::vector<TokenSpan>& media) {
  std::vector<TokenSpan> moved;
  int64_t begin = 0, sequence = 0;
  for (const auto length : lengths) {
    for (const auto& [place, count] : spans_within(media, begin, length))
      moved.push_back({begin + place + (sequence + 1) * before, count});
    begin += length, ++sequence;
  }
  return moved;
}

// For what autograd saves.
template <class T>
struct Held : torch::CustomClassHolder {
  explicit Held(std::shared_ptr<T> of) : held(std::move(of)) {}
  std::shared_ptr<T> held;
};

template <class T>
void keep(AutogradContext* context, std::shared_ptr<T> of) {
  context->saved_data["held"] = c10::IValue::make_capsule(c10::make_intrusive<Held<T>>(std::move(of)));
}

template <class T>
std::shared_ptr<T> kept(AutogradContext* context) {
  return c10::static_intrusive_pointer_cast<Held<T>>(context->saved_data["held"].toCapsule())->held;
}

}  // namespace

struct Prefix::Begin : torch::autograd::Function<Begin> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& kv, int64_t begin,
                            int64_t end, const std::shared_ptr<Gathered>& gathered) {
    context->saved_data["begin"] = begin, context->saved_data["end"] = end;
    context->saved_data["sizes"] = kv.sizes().vec();
    keep(context, gathered);
    return x.detach();
  }

  // All layers of the pass have gone before, since x reaches them from here; those of other stages give none.
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto gathered = kept<Gathered>(context);
    const auto all = at::zeros(context->saved_data["sizes"].toIntVector(), grads[0].options());
    for (auto i = context->saved_data["begin"].toInt(); i < context->saved_data["end"].toInt(); ++i) {
      const auto grad = std::exchange(gathered->of_layers[static_cast<size_t>(i)], at::Tensor());
      if (!grad.defined()) fail(ErrorKind::internal, "a layer gave no gradient of what stands before its sequences");
      all[i].copy_(grad);
    }
    return {grads[0], all, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

struct Prefix::PutBefore : torch::autograd::Function<PutBefore> {
  static variable_list forward(AutogradContext* context, const at::Tensor& k, const at::Tensor& v, const at::Tensor& kv,
                               const std::vector<int64_t>& lengths, int64_t layer,
                               const std::shared_ptr<Gathered>& gathered) {
    context->saved_data["sizes"] = in_turn(lengths, kv.size(1)), context->saved_data["layer"] = layer;
    keep(context, gathered);
    return {put_before(kv[0], k, lengths), put_before(kv[1], v, lengths)};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto sizes = context->saved_data["sizes"].toIntVector();
    variable_list of_sequences;
    std::vector<at::Tensor> of_prefix;
    for (const auto& grad : grads) {
      const auto pieces = grad.split_with_sizes(sizes);
      of_prefix.push_back(at::stack(every_second(pieces, 0)).sum(0));
      of_sequences.push_back(at::cat(every_second(pieces, 1)));
    }
    const auto gathered = kept<Gathered>(context);
    auto& sum = gathered->of_layers[static_cast<size_t>(context->saved_data["layer"].toInt())];
    const auto own = at::stack(of_prefix);
    sum = sum.defined() ? sum + own : own;
    return {of_sequences[0], of_sequences[1], at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor own_heads(const at::Tensor& kv, const TokenSlices& slices) {
  constexpr int64_t kHeads = 3;
  auto own = kv;
  if (slices.parts) {
    const auto part = kv_heads_of(own.size(kHeads), slices.parts->rank(), slices.parts->size());
    own = own.narrow(kHeads, part.begin, part.size);
  }
  if (!slices.contexts) return own;
  const int64_t contexts = slices.contexts->size(), repeats = contexts / std::gcd(own.size(kHeads), contexts);
  own = own.repeat_interleave(repeats, kHeads);
  const int64_t heads = own.size(kHeads) / contexts;
  return own.narrow(kHeads, slices.contexts->rank() * heads, heads);
}

Prefix::Prefix(const at::Tensor& kv) : kv_(kv), layers_(kv.detach().unbind(0)) {
  if (at::GradMode::is_enabled() && kv.requires_grad()) gathered_ = std::make_shared<Gathered>(layers_.size());
}

at::Tensor Prefix::begun(const at::Tensor& x_td, int64_t begin, int64_t end) const {
  return gathered_ ? Begin::apply(x_td, kv_, begin, end, gathered_) : x_td;
}

at::Tensor Prefix::attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                             const std::vector<int64_t>& lengths, size_t layer, const Sight& sight,
                             const std::vector<TokenSpan>& media) const {
  const auto& kv = layers_[layer];
  at::Tensor k, v;
  if (gathered_) {
    const auto both = PutBefore::apply(k_thd, v_thd, kv, lengths, static_cast<int64_t>(layer), gathered_);
    k = both[0], v = both[1];
  } else {
    k = put_before(kv[0], k_thd, lengths), v = put_before(kv[1], v_thd, lengths);
  }
  // Queries that nobody asks for stand beside these keys, so that every kernel for packed sequences does.
  const auto q = put_before(at::zeros({tokens(), q_thd.size(1), q_thd.size(2)}, q_thd.options()), q_thd, lengths);
  auto whole = lengths;
  for (auto& length : whole) length += tokens();
  const auto y = packed_attention(q, k, v, whole, sight, put_before(tokens(), lengths, media));
  return at::cat(every_second(y.split_with_sizes(in_turn(lengths, tokens())), 1));
}

}  // namespace antiphon::nn
