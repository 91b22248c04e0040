#include <antiphon/eval/pair_vectors.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/optim/lbfgs.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <limits>

namespace antiphon::eval {
namespace {

constexpr int64_t kPiece = 1024;  // rows whose logits are alive at once

at::Tensor rows_at(const at::Tensor& all, const std::vector<int64_t>& rows) {
  return all.index_select(0, at::tensor(rows, at::kLong));
}

// From one side to the other: `own` asks for those of `other` that share a sample with it.
void add_direction(const std::string& name, const Distinct& own, const Distinct& other, const at::Tensor& own_nw,
                   const at::Tensor& other_nw, PairMetrics& metrics) {
  const auto asking = rows_at(own_nw, own.first), asked = rows_at(other_nw, other.first);
  std::vector<std::vector<int64_t>> wanted(own.names.size());
  for (size_t i = 0; i < own.number.size(); ++i) wanted[static_cast<size_t>(own.number[i])].push_back(other.number[i]);
  for (int64_t begin = 0; begin < asking.size(0); begin += kPiece) {
    const auto logits = at::mm(asking.narrow(0, begin, std::min(kPiece, asking.size(0) - begin)), asked.t());
    for (int64_t row = 0; row < logits.size(0); ++row) {
      const auto at_row = static_cast<size_t>(begin + row);
      const auto best = logits[row].index_select(0, at::tensor(wanted[at_row], at::kLong)).max();
      const auto before =
          logits[row].le(best).logical_not().sum().item<int64_t>();  // what is not a number is not a hit
      for (const int64_t k : {1, 5, 10})
        if (k == 1 || k < asked.size(0))
          metrics[static_cast<size_t>(own.first[at_row])][fmt::format("{}/recall_at_{}", name, k)] = {before < k, 1};
    }
  }
}

}  // namespace

Distinct distinct(const std::vector<std::string>& all) {
  Distinct found;
  std::map<std::string, int64_t> numbers;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto [entry, added] = numbers.emplace(all[i], static_cast<int64_t>(found.names.size()));
    if (added) found.names.push_back(all[i]), found.first.push_back(static_cast<int64_t>(i));
    found.number.push_back(entry->second);
  }
  return found;
}

at::Tensor media_directions(const PairVectors& vectors) {
  const auto x = vectors.media_nw.narrow(1, 0, vectors.media_nw.size(1) - 1);
  return x / x.norm(2, {1}, /*keepdim=*/true);
}

void add_retrieval(const PairVectors& vectors, PairMetrics& metrics) {
  const auto media = distinct(vectors.media), texts = distinct(vectors.texts);
  add_direction("media_to_text", media, texts, vectors.media_nw, vectors.texts_nw, metrics);
  add_direction("text_to_media", texts, media, vectors.texts_nw, vectors.media_nw, metrics);
}

void add_zero_shot(const PairVectors& vectors, const std::vector<std::string>& classes, const at::Tensor& classes_cw,
                   PairMetrics& metrics) {
  const auto products = at::mm(media_directions(vectors), classes_cw.t());
  for (int64_t i = 0; i < vectors.count(); ++i) {
    const auto own = std::ranges::find(classes, vectors.texts[static_cast<size_t>(i)]) - classes.begin();
    const auto before = products[i].le(products[i][own]).logical_not().sum().item<int64_t>();
    metrics[static_cast<size_t>(i)]["zero_shot/accuracy"] = {before < 1, 1};
    if (classes.size() > 5) metrics[static_cast<size_t>(i)]["zero_shot/top_5"] = {before < 5, 1};
  }
}

at::Tensor LinearProbe::loss(const PairVectors& vectors, const std::vector<int64_t>& labels, double inverse_l2,
                             const at::Tensor& weight_cw, const at::Tensor& bias_c) {
  const auto logits = at::addmm(bias_c, media_directions(vectors), weight_cw.t());
  return at::cross_entropy_loss(logits, at::tensor(labels, at::kLong)) +
         weight_cw.square().sum() / (2 * static_cast<double>(vectors.count()) * inverse_l2);
}

LinearProbe::LinearProbe(const PairVectors& vectors, double inverse_l2) : inverse_l2_(inverse_l2) {
  const auto labels = distinct(vectors.texts);
  classes_ = labels.names;
  if (classes_.size() < 2)
    fail(ErrorKind::data, "all samples of eval.probe have the same text, so there is nothing to tell apart",
         "name a set whose texts are the classes");
  c10::AutoGradMode with_grad(true);
  const auto classes = std::ssize(classes_);
  auto weight = at::zeros({classes, vectors.media_nw.size(1) - 1}).requires_grad_(true);
  auto bias = at::zeros({classes}).requires_grad_(true);
  torch::optim::LBFGS optimizer({weight, bias}, torch::optim::LBFGSOptions(1)
                                                    .max_iter(1000)
                                                    .tolerance_grad(1e-7)
                                                    .tolerance_change(1e-12)
                                                    .history_size(20)
                                                    .line_search_fn("strong_wolfe"));
  optimizer.step([&] {
    optimizer.zero_grad();
    const auto value = loss(vectors, labels.number, inverse_l2, weight, bias);
    value.backward();
    return value;
  });
  weight_cw_ = weight.detach(), bias_c_ = bias.detach();
}

double LinearProbe::largest_gradient(const PairVectors& vectors) const {
  c10::AutoGradMode with_grad(true);
  const auto weight = weight_cw_.clone().requires_grad_(true), bias = bias_c_.clone().requires_grad_(true);
  loss(vectors, distinct(vectors.texts).number, inverse_l2_, weight, bias).backward();
  return std::max(weight.grad().abs().max().item<double>(), bias.grad().abs().max().item<double>());
}

void LinearProbe::add(const PairVectors& vectors, PairMetrics& metrics) const {
  const auto chosen = at::addmm(bias_c_, media_directions(vectors), weight_cw_.t()).argmax(1);
  for (int64_t i = 0; i < vectors.count(); ++i) {
    const auto& text = vectors.texts[static_cast<size_t>(i)];
    metrics[static_cast<size_t>(i)]["probe/accuracy"] = {
        classes_[static_cast<size_t>(chosen[i].item<int64_t>())] == text, 1};
  }
}

}  // namespace antiphon::eval
