// One decoding step, and what it gives.
#pragma once
#include <map>
#include <memory>

#include <antiphon/model/multimodal_lm.h>

namespace antiphon::engine {

// hidden [rows, hidden_size] -> logits [rows, vocab_size] in the same dtype.
at::Tensor logits_of(model::MultimodalLm& model, const at::Tensor& hidden);

// Steps over one cache, which must outlive them as the model must.
class DecodingSteps {
 public:
  DecodingSteps(model::MultimodalLm& model, DecoderState& cache);
  ~DecodingSteps();
  // Appends ids[i] to row rows[i] of the cache -> hidden states [rows, hidden_size] after it. Error(internal) if the
  // cache is full.
  at::Tensor operator()(const std::vector<int64_t>& ids, const std::vector<int64_t>& rows);
  // The same with rows and lengths on the device, which operator() uses if it is a CUDA device; works on every device.
  // With the CUDA kernels loaded, the third step of each number of rows is recorded as a CUDA graph and from then on
  // replayed: one launch instead of several hundred. A recording uses the parameters where they are: while it lives
  // they must not be replaced.
  at::Tensor on_device(const std::vector<int64_t>& ids, const std::vector<int64_t>& rows);

 private:
  struct Recorded;
  at::Tensor on_all_axes(const at::Tensor& positions_n) const;
  at::Tensor run(const at::Tensor& inputs, const std::vector<int64_t>& rows);
  at::Tensor inputs_of(const std::vector<int64_t>& ids, const std::vector<int64_t>& rows, int64_t most_blocks);
  model::MultimodalLm& model_;
  DecoderState& cache_;
  at::ScalarType positions_;                                                  // int64 or float32
  std::map<std::pair<size_t, int64_t>, std::unique_ptr<Recorded>> recorded_;  // by rows and blocks of a row
};

}  // namespace antiphon::engine
