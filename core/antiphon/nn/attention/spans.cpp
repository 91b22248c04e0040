#include <antiphon/nn/attention/spans.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>

namespace antiphon::nn {
namespace {

// Queries that are the last of the keys and see them all, or those in their windows.
at::Tensor attention_of_span(const at::Tensor& q_nhd, const at::Tensor& k_htd, const at::Tensor& v_htd,
                             int64_t window) {
  const int64_t n = q_nhd.size(0), keys = k_htd.size(1), oldest = keys - n - window + 1;
  const int64_t first = window ? std::max<int64_t>(0, oldest) : 0, seen = keys - first;
  std::optional<at::Tensor> mask;
  if (window && keys > window && n > 1)
    mask = at::ones({n, seen}, k_htd.options().dtype(at::kBool)).triu(oldest - first);
  const auto batch = [&](const at::Tensor& x) { return x.narrow(1, first, seen).unsqueeze(0); };
  const auto y = at::scaled_dot_product_attention(q_nhd.transpose(0, 1).unsqueeze(0), batch(k_htd), batch(v_htd), mask,
                                                  0.0, false, std::nullopt, q_nhd.size(1) != k_htd.size(0));
  return y[0].transpose(0, 1).reshape({n, -1});
}

}  // namespace

std::vector<TokenSpan> spans_within(const std::vector<TokenSpan>& spans, int64_t begin, int64_t count) {
  std::vector<TokenSpan> own;
  for (const auto& span : spans) {
    const int64_t end = span.begin + span.tokens;
    if (end <= begin || span.begin >= begin + count || span.tokens == 0) continue;
    if (span.begin < begin || end > begin + count)
      fail(ErrorKind::internal, fmt::format("tokens [{}, {}) see each other, and [{}, {}) are given", span.begin, end,
                                            begin, begin + count));
    own.push_back({span.begin - begin, span.tokens});
  }
  return own;
}

at::Tensor with_spans(const at::Tensor& y_nd, const at::Tensor& q_nhd, const at::Tensor& k_htd, const at::Tensor& v_htd,
                      const std::vector<TokenSpan>& spans, int64_t window) {
  if (spans.empty()) return y_nd;
  const int64_t n = q_nhd.size(0), past = k_htd.size(1) - n;
  std::vector<at::Tensor> pieces;
  int64_t done = 0;
  for (const auto& [begin, tokens] : spans) {
    if (begin > done) pieces.push_back(y_nd.narrow(0, done, begin - done));
    done = begin + tokens;
    const auto before = [&, end = past + done](const at::Tensor& x) { return x.narrow(1, 0, end); };
    pieces.push_back(attention_of_span(q_nhd.narrow(0, begin, tokens), before(k_htd), before(v_htd), window));
  }
  if (done < n) pieces.push_back(y_nd.narrow(0, done, n - done));
  return at::cat(pieces);
}

}  // namespace antiphon::nn
