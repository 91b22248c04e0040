#include <antiphon/eval/pair_vectors.h>

#include <ATen/ATen.h>
#include <antiphon/base/error.h>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::eval;
using Catch::Approx;

namespace {

// Sum by count over all samples.
double mean(const PairMetrics& metrics, const std::string& name) {
  double sum = 0, count = 0;
  for (const auto& of_sample : metrics)
    if (const auto found = of_sample.find(name); found != of_sample.end())
      sum += found->second.first, count += found->second.second;
  REQUIRE(count > 0);
  return sum / count;
}

// Logits are the products of the rows; the last column is a bias's.
PairVectors vectors(const std::vector<std::vector<float>>& media, const std::vector<std::vector<float>>& texts,
                    std::vector<std::string> of_media, std::vector<std::string> of_texts) {
  const auto rows = [](const std::vector<std::vector<float>>& all, float last) {
    std::vector<at::Tensor> tensors;
    for (auto row : all) row.push_back(last), tensors.push_back(at::tensor(row));
    return at::stack(tensors);
  };
  return {rows(media, 0), rows(texts, 1), std::move(of_media), std::move(of_texts)};
}

}  // namespace

TEST_CASE("pair vectors: a medium with two texts is found by either, and counts once") {
  // Picture a has the texts x and y, b has z; y is nearer to b's picture.
  const auto pairs = vectors({{1, 0}, {1, 0}, {0, 1}}, {{1, 0}, {0, 3}, {0, 2}}, {"a", "a", "b"}, {"x", "y", "z"});
  PairMetrics metrics(3);
  add_retrieval(pairs, metrics);
  CHECK(mean(metrics, "media_to_text/recall_at_1") == 0.5);  // a: x; b: y is before z
  CHECK_FALSE(metrics[1].contains("media_to_text/recall_at_1"));
  CHECK(mean(metrics, "text_to_media/recall_at_1") == Approx(2.0 / 3));  // x and z
  CHECK_FALSE(metrics[0].contains("media_to_text/recall_at_5"));         // there are three
}

TEST_CASE("pair vectors: one text of two media wants either of them") {
  const auto pairs = vectors({{1, 0}, {0, 1}, {-1, 0}}, {{1, 0}, {1, 0}, {-1, 0}}, {"a", "b", "c"}, {"x", "x", "z"});
  PairMetrics metrics(3);
  add_retrieval(pairs, metrics);
  CHECK(mean(metrics, "text_to_media/recall_at_1") == 1);
  CHECK(metrics[0].at("text_to_media/recall_at_1") == std::pair{1.0, 1.0});
  CHECK_FALSE(metrics[1].contains("text_to_media/recall_at_1"));
}

TEST_CASE("pair vectors: recall at 5 and at 10 of more candidates") {
  std::vector<std::vector<float>> media, texts;
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) {  // text i has i before it
    media.push_back({1, 0}), texts.push_back({static_cast<float>(12 - i), 0});
    names.push_back(std::to_string(i));
  }
  PairMetrics metrics(12);
  add_retrieval(vectors(media, texts, names, names), metrics);
  CHECK(mean(metrics, "media_to_text/recall_at_1") == Approx(1.0 / 12));
  CHECK(mean(metrics, "media_to_text/recall_at_5") == Approx(5.0 / 12));
  CHECK(mean(metrics, "media_to_text/recall_at_10") == Approx(10.0 / 12));
}

TEST_CASE("pair vectors: classes by their vectors, whatever the scale and the bias of logits") {
  auto pairs = vectors({{9, 1}, {1, 9}, {8, 2}}, {{1, 0}, {0, 1}, {0, 1}}, {"a", "b", "c"}, {"x", "y", "y"});
  pairs.media_nw.select(1, 2).fill_(-50);
  PairMetrics metrics(3);
  add_zero_shot(pairs, {"x", "y"}, at::eye(2), metrics);
  CHECK(mean(metrics, "zero_shot/accuracy") == Approx(2.0 / 3));
  CHECK_FALSE(metrics[0].contains("zero_shot/top_5"));
}

TEST_CASE("pair vectors: a linear probe ends where the gradient of its loss is zero") {
  at::manual_seed(3);
  const auto x = at::randn({40, 4});
  std::vector<std::string> media, texts;
  for (int i = 0; i < 40; ++i)
    media.push_back(std::to_string(i)), texts.push_back(x[i][0].item<float>() > 0 ? "right" : "left");
  const PairVectors pairs{at::cat({x, at::zeros({40, 1})}, 1), at::zeros({40, 5}), media, texts};
  const LinearProbe probe(pairs, 10);
  PairMetrics metrics(40);
  probe.add(pairs, metrics);
  CHECK(mean(metrics, "probe/accuracy") >= 0.9);
  CHECK(probe.largest_gradient(pairs) < 1e-5);
  CHECK_THROWS_AS(LinearProbe({pairs.media_nw, pairs.texts_nw, media, std::vector<std::string>(40, "one")}, 1), Error);
}
