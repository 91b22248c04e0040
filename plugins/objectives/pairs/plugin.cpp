// What dual encoders learn by: each medium is compared with every text of a step, in pieces of the table of logits, of
// which no more than chunk rows are alive at once. The gradient is written out, so that each process computes that of
// its own rows alone, whatever the others have.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace antiphon::pairs {

struct PairsOptions {
  int64_t chunk = 1024;
};

const config::Table<PairsOptions>& pairs_table() {
  using O = PairsOptions;
  static const auto* table = new config::Table<O>(config::Table<O>("pairs").field(
      "chunk", &O::chunk, "media whose logits with all texts of the step are alive at once",
      {.min = 1, .max = 1 << 24}));
  return *table;
}

// The two halves of a step's scores: logits = media · textsᵀ, of which the diagonal are the pairs.
struct Halves {
  at::Tensor media_nw, texts_nw;
  int64_t chunk;
  int64_t count() const { return media_nw.size(0); }
  // body(logits [rows, columns], begin) for each piece of the rows.
  template <class Body>
  void each_piece(const at::Tensor& rows, const at::Tensor& columns, const Body& body) const {
    for (int64_t begin = 0; begin < rows.size(0); begin += chunk) {
      const auto piece = rows.narrow(0, begin, std::min(chunk, rows.size(0) - begin));
      body(at::mm(piece, columns.t()), begin);
    }
  }
};

// One of the two directions: the derivative of the whole loss for the logits of these rows, by the place of the first.
using Derivative = std::function<at::Tensor(const at::Tensor& logits, int64_t first)>;

struct OfRows {
  at::Tensor hits_n;       // 1 if the row's pair has the largest logit
  at::Tensor gradient_nw;  // undefined if none is wanted
};

// Of some rows, whose pairs are the columns from `first` on.
OfRows of_rows(const Halves& halves, const at::Tensor& rows, const at::Tensor& columns, int64_t first,
               const Derivative& derivative, bool wants_gradient) {
  OfRows all{at::empty({rows.size(0)}, rows.options()), wants_gradient ? at::empty_like(rows) : at::Tensor()};
  halves.each_piece(rows, columns, [&](const at::Tensor& logits, int64_t begin) {
    const auto own = logits.diagonal(first + begin).unsqueeze(1);
    all.hits_n.narrow(0, begin, logits.size(0)).copy_(logits.le(own).all(1));
    if (wants_gradient)
      all.gradient_nw.narrow(0, begin, logits.size(0)).copy_(at::mm(derivative(logits, first + begin), columns));
  });
  return all;
}

class Pairs : public Objective {
 public:
  explicit Pairs(const PairsOptions& options) : options_(options) {}
  ObjectiveNeeds needs() const override { return {.pairs = true}; }
  ObjectiveOutput forward(const ObjectiveInput& input) override;

 protected:
  struct Loss {
    at::Tensor losses_n;                 // each pair's part of the whole
    Derivative of_media, of_texts = {};  // rows are media, or texts
  };
  virtual Loss loss(const Halves& halves) const = 0;

 private:
  PairsOptions options_;
};

ObjectiveOutput Pairs::forward(const ObjectiveInput& input) {
  const int64_t first = input.first_own, n = input.own_sequences, width = input.scores_sk.size(1) / 2;
  const auto own = input.scores_sk.narrow(0, first, n);
  c10::AutoGradMode no_grad(false);
  const auto all = input.scores_sk.detach();
  const Halves halves{all.narrow(1, 0, width).contiguous(), all.narrow(1, width, width).contiguous(), options_.chunk};
  const auto media = halves.media_nw.narrow(0, first, n), texts = halves.texts_nw.narrow(0, first, n);
  const auto loss = this->loss(halves);
  ObjectiveOutput output;
  output.losses_n = loss.losses_n.narrow(0, first, n);
  output.loss = output.losses_n.sum();
  const bool learns = own.requires_grad();
  const auto of_media = of_rows(halves, media, halves.texts_nw, first, loss.of_media, learns),
             of_texts = of_rows(halves, texts, halves.media_nw, first, loss.of_texts, learns);
  output.metrics = {{"media_to_text/accuracy", of_media.hits_n, static_cast<double>(n)},
                    {"text_to_media/accuracy", of_texts.hits_n, static_cast<double>(n)},
                    {"scale", media.narrow(1, 0, width - 1).norm(2, {1}), static_cast<double>(n)}};
  if (!learns) return output;
  const auto gradient = at::cat({of_media.gradient_nw, of_texts.gradient_nw}, 1);
  c10::AutoGradMode with_grad(true);
  const auto linear = (own * gradient).sum();  // its gradient is the loss's
  output.loss = output.loss + (linear - linear.detach());
  return output;
}

// The mean of two cross-entropies: of the text among all for each medium, and of the medium among all for each text.
// Source: Radford et al. 2021; transformers, models/clip/modeling_clip.py, clip_loss.
class Contrastive : public Pairs {
 public:
  using Pairs::Pairs;

 protected:
  Loss loss(const Halves& halves) const override {
    const auto options = halves.media_nw.options();
    const int64_t n = halves.count();
    auto of_media = at::empty({n}, options), of_texts = at::full({n}, -INFINITY, options),
         own = at::empty({n}, options);
    halves.each_piece(halves.media_nw, halves.texts_nw, [&](const at::Tensor& logits, int64_t begin) {
      of_media.narrow(0, begin, logits.size(0)).copy_(logits.logsumexp(1));
      of_texts.copy_(at::logaddexp(of_texts, logits.logsumexp(0)));
      own.narrow(0, begin, logits.size(0)).copy_(logits.diagonal(begin));
    });
    const double share = 0.5 / static_cast<double>(n);
    const auto derivative = [share](const at::Tensor& of_rows, const at::Tensor& of_columns) {
      return [=](const at::Tensor& logits, int64_t first) {
        const auto rows = of_rows.narrow(0, first, logits.size(0)).unsqueeze(1);
        auto all = ((logits - rows).exp_() + (logits - of_columns).exp_()).mul_(share);
        all.diagonal(first).sub_(2 * share);
        return all;
      };
    };
    return {(of_media + of_texts - 2 * own) * share, derivative(of_media, of_texts), derivative(of_texts, of_media)};
  }
};

// Each medium with each text is a yes or a no of its own.
// Source: Zhai et al. 2023; transformers, models/siglip/modeling_siglip.py.
class Sigmoid : public Pairs {
 public:
  using Pairs::Pairs;

 protected:
  Loss loss(const Halves& halves) const override {
    const int64_t n = halves.count();
    auto losses = at::empty({n}, halves.media_nw.options());
    halves.each_piece(halves.media_nw, halves.texts_nw, [&](const at::Tensor& logits, int64_t begin) {
      auto answers = -logits;
      answers.diagonal(begin).neg_();
      losses.narrow(0, begin, logits.size(0)).copy_(at::softplus(answers.neg_()).sum(1));
    });
    const Derivative derivative = [n](const at::Tensor& logits, int64_t first) {
      auto all = logits.sigmoid();
      all.diagonal(first).sub_(1);
      return all.div_(static_cast<double>(n));
    };
    return {losses / static_cast<double>(n), derivative, derivative};
  }
};

}  // namespace antiphon::pairs

ANTIPHON_PLUGIN(pairs, "0.1.0") {
  using namespace antiphon::pairs;
  antiphon::register_component<antiphon::Objective, Contrastive>(
      registrar, "contrastive", "a dual encoder by softmax over all pairs of a step (CLIP)", pairs_table());
  antiphon::register_component<antiphon::Objective, Sigmoid>(
      registrar, "sigmoid_pairs", "a dual encoder by a yes or no for each pair of a step (SigLIP)", pairs_table());
}
