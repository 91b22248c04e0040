// What a dual encoder is measured by: retrieval of texts by media and the other way round, and classification of media
// by texts (Radford et al. 2021) or by a linear probe.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace antiphon::eval {

// Of samples, row by row: logits = media · textsᵀ, as model::DualEncoder::score() gives the halves. float32, on the
// CPU.
struct PairVectors {
  at::Tensor media_nw, texts_nw;
  std::vector<std::string> media, texts;  // what they are: equal texts are one
  int64_t count() const { return static_cast<int64_t>(media.size()); }
};

// Of each sample the sum and the count of each metric, by name.
using PairMetrics = std::vector<std::map<std::string, std::pair<double, double>>>;

// "media_to_text/recall_at_1" (5, 10, if there are more candidates than that): of each different medium, whether one of
// its texts is among the k different texts with the largest logits; it counts at the first sample that has it.
// text_to_media/… likewise. As retrieval on COCO and Flickr30k is measured (Karpathy & Fei-Fei 2015).
void add_retrieval(const PairVectors& vectors, PairMetrics& metrics);

// "zero_shot/accuracy" and, of more than five classes, "zero_shot/top_5": whether the class that is the sample's own
// text has the largest product with its medium, or one of the five largest. `classes`: the different texts, and of each
// its vector of length 1: [classes, width - 1].
void add_zero_shot(const PairVectors& vectors, const std::vector<std::string>& classes, const at::Tensor& classes_cw,
                   PairMetrics& metrics);

// Multinomial logistic regression on media vectors of length 1, by L-BFGS: the mean cross-entropy plus ‖weights‖² / (2
// n inverse_l2), as scikit-learn's LogisticRegression(C = inverse_l2).
class LinearProbe {
 public:
  // Learns the texts of the samples. Error(data) if they all have the same.
  LinearProbe(const PairVectors& vectors, double inverse_l2);
  // "probe/accuracy".
  void add(const PairVectors& vectors, PairMetrics& metrics) const;
  const std::vector<std::string>& classes() const { return classes_; }
  // Of what it minimises, on the samples that it has learnt: how near it came.
  double largest_gradient(const PairVectors& vectors) const;

 private:
  // Of these weights and biases, which may want a gradient.
  static at::Tensor loss(const PairVectors& vectors, const std::vector<int64_t>& labels, double inverse_l2,
                         const at::Tensor& weight_cw, const at::Tensor& bias_c);
  double inverse_l2_;
  std::vector<std::string> classes_;
  at::Tensor weight_cw_, bias_c_;
};

// The different ones, in the order in which they come first, and of each of `all` its number.
struct Distinct {
  std::vector<std::string> names;
  std::vector<int64_t> number, first;  // of each of `all`; where each is first
};
Distinct distinct(const std::vector<std::string>& all);

// The media's rows of length 1, without the scale and the bias of logits: [n, width - 1].
at::Tensor media_directions(const PairVectors& vectors);

}  // namespace antiphon::eval
