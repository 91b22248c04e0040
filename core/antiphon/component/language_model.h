// The decoder that reads text and media embeddings and returns hidden states.
#pragma once
#include <antiphon/component/kind.h>
#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>

#include <memory>

namespace antiphon {

// Keys and values of the tokens seen so far, preallocated: [layers][rows, kv_heads, capacity, head_size].
struct KvCache {
  std::vector<at::Tensor> keys, values;  // one pair a layer
  std::vector<int64_t> lengths;          // tokens held, one number for each row
  int64_t capacity = 0;
  std::shared_ptr<void> replay;  // steps that infer/step has recorded over these tensors (CUDA graphs)
};

// Sequences packed one after the other, without padding.
struct DecoderInput {
  at::Tensor x_td;               // [tokens, hidden_size], embeddings in the module's dtype
  at::Tensor positions_t;        // [tokens] int64
  std::vector<int64_t> lengths;  // tokens of each sequence; their sum is `tokens`; attention never crosses
  KvCache* cache = nullptr;      // if set, sequence i continues row rows[i] and is appended to it
  std::vector<int64_t> rows;
  // If defined, [rows] int64 on the device of x, one token each: the step reads its rows and the tokens they hold here,
  // so that it can be recorded and replayed. It checks no capacity and leaves cache->lengths as they are.
  at::Tensor cache_rows_n, cache_lengths_n;
};

// The result of LanguageModel::quantize: how many of all matrices, and their bytes.
struct Quantization {
  int64_t applied = 0, total = 0, bytes_before = 0, bytes = 0;
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual int64_t hidden_size() const = 0;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t max_positions() const = 0;
  // ids [n] int64 -> [n, hidden_size].
  virtual at::Tensor embed(const at::Tensor& ids) = 0;
  // -> [tokens, hidden_size] after the final norm. Lengths of the cache grow by the tokens given.
  virtual at::Tensor forward(const DecoderInput& input) = 0;
  // [vocab_size, hidden_size]; logits = hidden · headᵀ.
  virtual at::Tensor head_weight() = 0;
  // hidden [n, hidden_size] -> [n, vocab_size] in its dtype.
  virtual at::Tensor logits(const at::Tensor& hidden_nd);
  // Keeps the weights as "int8" or "int4" from here on, for inference. Error(config) if the model does not support it.
  virtual Quantization quantize(const std::string& format);
  virtual KvCache make_cache(int64_t rows, int64_t capacity) = 0;
  virtual Module& module() = 0;
  virtual NameMap name_map() const = 0;
};

template <>
struct KindOf<LanguageModel> : Kind<> {
  static constexpr const char* name = "language_model";
};

}  // namespace antiphon
