// What connectors with taps give beside embeddings (component/connector.h), as the language model adds it.
#include <ATen/ATen.h>

#include <antiphon/model/embedding_places.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/token_slices.h>

#include <algorithm>
#include <numeric>

namespace antiphon::model {
namespace {

// Rows [n, taps * width] of a stream, and the tokens [n] that they go to.
struct TappedRows {
  at::Tensor tokens_n, rows_nd;
  int64_t taps = 0;
};

// Of several streams together; one with fewer taps adds nothing after later blocks.
AddedStates added_by(const std::vector<TappedRows>& streams, int64_t width) {
  AddedStates all;
  std::vector<at::Tensor> tokens;
  int64_t most = 0;
  for (const auto& stream : streams) tokens.push_back(stream.tokens_n), most = std::max(most, stream.taps);
  for (int64_t tap = 0; tap < most; ++tap) {
    std::vector<at::Tensor> rows;
    for (const auto& [tokens_n, rows_nd, taps] : streams)
      rows.push_back(tap < taps ? rows_nd.narrow(1, tap * width, width)
                                : at::zeros({tokens_n.size(0), width}, rows_nd.options()));
    all.after.push_back(at::cat(rows));
  }
  if (most > 0) all.tokens_n = at::cat(tokens);
  return all;
}

}  // namespace

// Of all processes that compute a batch together the first has the rows; each of its stage gets those of its tokens. In
// other stages only their number counts.
AddedStates MultimodalLm::added_to_own(const Batch& batch, const std::map<std::string, at::Tensor>& tapped) const {
  const nn::TokenSlices slices{by_.group, by_.contexts, by_.slices};
  const auto own = slices.own(batch.tokens());
  const auto options = at::TensorOptions(settings_.device).dtype(settings_.formats.compute);
  const auto rank = static_cast<size_t>(by_.slices ? by_.slices->rank() : 0);
  std::vector<TappedRows> streams;
  for (const auto& [name, stream] : streams_) {
    const auto places = embedding_places(batch, name);
    if (stream->taps() == 0 || places.empty()) continue;
    const auto tokens_n = at::cat(places);
    const auto counts = nn::counts_in(tokens_n, slices.in_all(batch.tokens()));
    const auto begin = std::accumulate(counts.begin(), counts.begin() + static_cast<int64_t>(rank), int64_t{0}),
               count = counts[rank];
    auto rows_nd = tapped.contains(name)
                       ? tapped.at(name)
                       : at::zeros({1, 1}, options).expand({tokens_n.size(0), stream->taps() * llm_->hidden_size()});
    rows_nd = by_.slices && is_first_stage() ? nn::slice_of_sum(rows_nd, counts, *by_.slices, by_.learns_before)
                                             : rows_nd.narrow(0, begin, count);
    streams.push_back({(tokens_n.narrow(0, begin, count) - own.begin).to(settings_.device), rows_nd, stream->taps()});
  }
  return added_by(streams, llm_->hidden_size());
}

}  // namespace antiphon::model
