#include <antiphon/nn/blocks/decoder_step.h>

#include <ATen/ATen.h>

#include <antiphon/kernels/for_rows.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/attention/cached_attention.h>
#include <antiphon/nn/linear/few_rows.h>

#include <array>

namespace antiphon::nn {
namespace {

using kernels::kPanel, kernels::Product;

// Pieces of one allocation.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : all_(at::empty({bytes}, at::kByte)), next_(all_.mutable_data_ptr<uint8_t>()) {}
  template <class U>
  U* take(int64_t count) {
    auto* piece = reinterpret_cast<U*>(next_);
    next_ += (count * static_cast<int64_t>(sizeof(U)) + 63) / 64 * 64;
    return piece;
  }

 private:
  at::Tensor all_;
  uint8_t* next_;
};

int64_t panels(int64_t rows) { return (rows + kPanel - 1) / kPanel; }

}  // namespace

template <class T>
class LayerStep {
 public:
  LayerStep(const DecoderLayer& layer, const at::Tensor& x, const DecoderInput& input, size_t index)
      : l_(layer),
        n_(x.size(0)),
        hidden_(x.size(1)),
        head_(layer.head_size_),
        heads_(layer.q_proj_.out() / head_),
        kv_heads_(layer.k_proj_.out() / head_),
        inner_(layer.mlp_->up.out()),
        width_((heads_ + 2 * kv_heads_) * head_),
        next_(input, index),
        scratch_(n_ * (4 * std::max({hidden_, inner_, heads_ * head_}) + 4 * heads_ +
                       static_cast<int64_t>(sizeof(T)) * (2 * hidden_ + width_ + heads_ * head_ + 3 * inner_)) +
                 64 * 9),
        wide_(scratch_.take<float>(n_ * std::max({hidden_, inner_, heads_ * head_}))),
        rstd_(scratch_.take<float>(n_ * heads_)),
        normal_(scratch_.take<T>(n_ * hidden_)),
        middle_(scratch_.take<T>(n_ * hidden_)),
        qkv_(scratch_.take<T>(n_ * width_)),
        seen_(scratch_.take<T>(n_ * heads_ * head_)),
        gate_(scratch_.take<T>(n_ * inner_)),
        up_(scratch_.take<T>(n_ * inner_)),
        gated_(scratch_.take<T>(n_ * inner_)) {}

  at::Tensor run(const at::Tensor& x, const RopeTable& rope) {
    const auto y = at::empty_like(x);
    normalize(l_.input_norm_, kernels::data<T>(x));
    project();
    turn(rope);
    next_.attend(seen_, heads_, l_.sight_, l_.query_multiplier_, seen_);
    decode_.expand(seen_, wide_, n_ * heads_ * head_);
    add(l_.o_proj_, l_.attention_output_norm_.get(), kernels::data<T>(x), middle_);
    normalize(l_.post_attention_norm_, middle_);
    gate();
    decode_.expand(gated_, wide_, n_ * inner_);
    add(l_.mlp_->down, l_.mlp_output_norm_.get(), middle_, kernels::data<T>(y));
    return y;
  }

 private:
  // A layer's product and what its adapter adds; then times the factor + residual, unless the product adds it itself.
  struct Job {
    Product<T> main;
    LowRank change;
    std::vector<float> inner;  // [rows, rank] = scale · A x
    float factor = 1;
    const T* residual = nullptr;
  };

  Job job(const Linear& linear, T* y, int64_t stride, const T* residual = nullptr) const {
    Job job;
    const T* bias = linear.bias.defined() ? kernels::data<T>(linear.bias) : nullptr;
    job.main = {matrix_of(linear), wide_, n_, bias, residual, y, stride};
    job.change = linear.low_rank().value();
    if (residual) job.factor = multiplier_;
    if (job.change.a.defined() || job.factor != 1) job.main.residual = nullptr, job.residual = residual;
    if (!job.change.a.defined()) return job;
    const auto a = matrix_of(job.change.a);
    job.inner.resize(static_cast<size_t>(n_ * a.out));
    kernels::decode_kernels<float>().multiply({a, wide_, n_, nullptr, nullptr, job.inner.data(), a.out}, 0, a.out);
    for (auto& value : job.inner) value *= static_cast<float>(job.change.scale);
    return job;
  }

  // The rows of the matrix that these panels cover.
  void run(const Job& job, int64_t begin, int64_t end) const {
    const auto& p = job.main;
    begin = std::max<int64_t>(begin, 0) * kPanel, end = std::min(end * kPanel, p.matrix.out);
    if (begin >= end) return;
    decode_.multiply(p, begin, end);
    if (!job.inner.empty())
      decode_.multiply({matrix_of(job.change.b), job.inner.data(), n_, nullptr, p.y, p.y, p.stride}, begin, end);
    if (!job.residual) return;
    for (int64_t i = 0; i < n_; ++i)
      decode_.add(p.y + i * p.stride + begin, job.factor, job.residual + i * p.stride + begin, end - begin);
  }

  void normalize(const Norm& norm, const T* x) {
    normalize(norm, x, normal_, n_, hidden_);
    decode_.expand(normal_, wide_, n_ * hidden_);
  }

  void normalize(const Norm& norm, const T* x, T* y, int64_t rows, int64_t width) {
    const auto kernel = norm.kind() == NormKind::rms_plus_one ? rows_.rms_norm_plus_one : rows_.rms_norm;
    kernel(x, kernels::data<T>(norm.weight()), y, rstd_, 0, rows, width, static_cast<float>(norm.eps()));
  }

  void project() {
    const int64_t k = heads_ * head_, v = k + kv_heads_ * head_;
    const std::array jobs{job(l_.q_proj_, qkv_, width_), job(l_.k_proj_, qkv_ + k, width_),
                          job(l_.v_proj_, qkv_ + v, width_)};
    int64_t all = 0;
    for (const auto& each : jobs) all += panels(each.main.matrix.out);
    kernels::share_rows(all, kPanel * hidden_, [&](int64_t begin, int64_t end) {
      int64_t before = 0;
      for (const auto& each : jobs) {
        run(each, begin - before, end - before);
        before += panels(each.main.matrix.out);
      }
    });
  }

  // Rotates the queries, and puts the new keys and values into the cache.
  void turn(const RopeTable& rope) {
    const int64_t rotary = rope.cos_td.size(1);
    for (int64_t i = 0; i < n_; ++i) {
      const T *cos = kernels::data<T>(rope.cos_td) + i * rotary, *sin = kernels::data<T>(rope.sin_td) + i * rotary;
      T *q = qkv_ + i * width_, *k = q + heads_ * head_, *v = k + kv_heads_ * head_;
      if (l_.q_norm_) normalize(*l_.q_norm_, q, q, heads_, head_), normalize(*l_.k_norm_, k, k, kv_heads_, head_);
      rows_.rope(q, cos, sin, seen_ + i * heads_ * head_, 0, 1, heads_, head_, rotary, 1);
      for (int64_t h = 0; h < kv_heads_; ++h) {
        rows_.rope(k + h * head_, cos, sin, next_.key(i, h), 0, 1, 1, head_, rotary, 1);
        std::copy_n(v + h * head_, head_, next_.value(i, h));
      }
    }
  }

  // What a branch adds: a norm needs all of it first.
  void add(const Linear& linear, const Norm* norm, const T* residual, T* y) {
    const auto sum = job(linear, y, hidden_, norm ? nullptr : residual);
    kernels::share_rows(panels(hidden_), kPanel * linear.in(),
                        [&](int64_t begin, int64_t end) { run(sum, begin, end); });
    if (!norm) return;
    normalize(*norm, y, y, n_, hidden_);
    decode_.add(y, multiplier_, residual, n_ * hidden_);
  }

  void gate() {
    const auto gate = job(*l_.mlp_->gate, gate_, inner_), up = job(l_.mlp_->up, up_, inner_);
    kernels::share_rows(panels(inner_), 2 * kPanel * hidden_, [&](int64_t begin, int64_t end) {
      run(gate, begin, end), run(up, begin, end);
      for (int64_t i = 0; i < n_; ++i)
        activate_(gate_ + i * inner_, up_ + i * inner_, gated_ + i * inner_, begin * kPanel,
                  std::min(end * kPanel, inner_));
    });
  }

  const DecoderLayer& l_;
  const kernels::DecodeKernels<T>& decode_ = kernels::decode_kernels<T>();
  const kernels::RowKernels<T>& rows_ = kernels::row_kernels<T>();
  const decltype(rows_.swiglu) activate_ = is_tanh_gelu(l_.mlp_->activation()) ? rows_.geglu_tanh : rows_.swiglu;
  const float multiplier_ = static_cast<float>(l_.branch_multiplier_);
  const int64_t n_, hidden_, head_, heads_, kv_heads_, inner_, width_;
  const NextTokens<T> next_;
  Scratch scratch_;
  float *wide_, *rstd_;
  T *normal_, *middle_, *qkv_, *seen_, *gate_, *up_, *gated_;
};

bool is_block_of_step(const DecoderOptions& options) {
  const auto& [vocab_size, hidden_size, intermediate_size, num_layers, num_heads, num_kv_heads, head_size,
               max_positions, norm, norm_eps, rope_theta, rotary_size, rope_scaling, rope_axes, qkv_bias, output_bias,
               mlp_bias, qk_norm, query_temperature, score_scale, score_cap, branch_norms, activation, gated_mlp,
               tie_embeddings, embed_multiplier, branch_multiplier, logits, window, first_window_layer, full_layers,
               window_rope_theta, media_see_all, moe, dense_layers] = options;
  return (norm == NormKind::rms || norm == NormKind::rms_plus_one) && gated_mlp && query_temperature == 0 &&
         (activation == "silu" || is_tanh_gelu(activation));
}

bool fits_layer_step(const DecoderLayer& l, const at::Tensor& x_td, const DecoderInput& input, size_t index) {
  if (!input.cache || input.blocks_nb.defined() || x_td.size(0) != static_cast<int64_t>(input.rows.size()))
    return false;
  const auto& keys = input.cache->keys(index);
  if (!l.is_block_of_step_ || !l.mlp_ || !x_td.is_contiguous() || keys.scalar_type() != x_td.scalar_type() ||
      !keys.is_contiguous() || l.input_norm_.weight().scalar_type() != x_td.scalar_type())
    return false;
  for (const auto* linear : std::initializer_list<const Linear*>{&l.q_proj_, &l.k_proj_, &l.v_proj_, &l.o_proj_,
                                                                 l.mlp_->gate.get(), &l.mlp_->up, &l.mlp_->down})
    if (!fits_few_rows(x_td, *linear)) return false;
  return true;
}

at::Tensor layer_step(const DecoderLayer& layer, const at::Tensor& x_td, const RopeTable& rope,
                      const DecoderInput& input, size_t index) {
  if (x_td.scalar_type() == at::kFloat) return LayerStep<float>(layer, x_td, input, index).run(x_td, rope);
  return LayerStep<uint16_t>(layer, x_td, input, index).run(x_td, rope);
}

}  // namespace antiphon::nn
