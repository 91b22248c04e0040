// The decoder that reads text and media embeddings and returns hidden states.
#pragma once
#include <antiphon/component/decoder_state.h>
#include <antiphon/component/kind.h>
#include <antiphon/component/logit_rule.h>
#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>
#include <antiphon/component/sample_layout.h>
#include <antiphon/component/token_table.h>

#include <memory>
#include <optional>

namespace antiphon {

namespace comm {
class Group;
}
namespace nn {
class Prefix;
}

// What is added to the hidden states of some tokens after the first blocks (Meng et al. 2024, DeepStack). Of processes
// that divide the tokens each has that of its slice, counted from there (nn/token_slices.h); of stages of a pipeline
// the first has it, and in the others only its shape counts.
struct AddedStates {
  at::Tensor tokens_n;            // [n] int64, on the device of x
  std::vector<at::Tensor> after;  // of block i [n, hidden_size], in the dtype of x
};

// Tokens [begin, begin + tokens) of what they are counted in.
struct TokenSpan {
  int64_t begin = 0, tokens = 0;
};

// Sequences packed one after the other, without padding.
struct DecoderInput {
  at::Tensor x_td;               // [tokens, hidden_size], embeddings in the module's dtype
  at::Tensor positions_at;       // [position_axes(), tokens] int64, or float32: see positions()
  std::vector<int64_t> lengths;  // tokens of each sequence; their sum is `tokens`; attention never crosses
  int64_t padding = 0;           // tokens at the end that belong to no sample
  at::Tensor ids_t = {};         // [tokens] int64, of models with reads_ids(); 0 for what is not text
  // The embeddings of media, part by part, in order: models may let those of a part see each other. A part is never
  // given in pieces.
  std::vector<TokenSpan> media = {};
  // Learned keys and values before those of every sequence, whose positions go on behind them (nn/attention/prefix.h);
  // for models with takes_prefix(), whose blocks follow from Prefix::begun(), and without a cache, whose rows begin
  // with them.
  std::shared_ptr<const nn::Prefix> prefix = nullptr;
  AddedStates added = {};         // for models whose most_added() allows it
  DecoderState* cache = nullptr;  // if set, sequence i continues row rows[i] and is appended to it
  std::vector<int64_t> rows;
  // If defined, on the device of x, one token for each row: the blocks of the rows [rows, blocks], the tokens that they
  // hold [rows] and the slots of the new ones [rows], all int64. The step reads them here, so that it can be recorded
  // and replayed; it reserves nothing and leaves the rows' lengths as they are.
  at::Tensor blocks_nb, held_n, slots_n;
  int64_t tokens() const { return positions_at.size(1); }
};

// The result of LanguageModel::quantize: how many of all matrices, and their bytes.
struct Quantization {
  int64_t applied = 0, total = 0, bytes_before = 0, bytes = 0;
};

// Processes that compute a model together. The groups outlive it.
struct SharedBy {
  comm::Group* group = nullptr;  // compute each block together; nullptr: one process does
  bool learns_before = false;    // what embed() is completed with is trained
  // Have some of the tokens each; nullptr: all of them. `slices`: both of these together, part by part of each context
  // (nn/token_slices.h); nullptr: this process alone.
  comm::Group *contexts = nullptr, *slices = nullptr;
  // Have some of the experts of each block each, and tokens of their own: of their batches, or slices of one batch;
  // nullptr: this process has all.
  comm::Group* experts = nullptr;
  // Have some of the blocks each, one after the other; nullptr: all of them. Each has `chunks` ranges of blocks.
  comm::Group* stages = nullptr;
  int chunks = 1;
  std::vector<int64_t> blocks_of_ranges = {};  // how many in each of stages · chunks; none: evenly
};

// The tokens of a vocabulary that a process has the rows of: all [begin, begin + its rows); nullptr: it has all.
struct TokenPart {
  comm::Group* group = nullptr;
  int64_t begin = 0;
};

// Tokens `id` behind each text up to so many.
struct TextPadding {
  int64_t tokens = 0, id = 0;
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual int64_t hidden_size() const = 0;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t max_positions() const = 0;
  // How many numbers say where a token is: 1, or more for models that place the embeddings of a picture by row and
  // column.
  virtual int64_t position_axes() const { return 1; }
  // Where the tokens of a sample are, [position_axes(), tokens] int64 on the CPU, or float32 for every sample if frames
  // may lie between whole numbers. What is written after them goes on at the largest of these numbers + 1, on all axes.
  // Called from loader threads: const, thread-safe, reads no parameter. Default: 0, 1, … on all axes.
  virtual at::Tensor positions(const SampleLayout& layout) const;
  // ids [n] int64 -> [n, hidden_size].
  virtual at::Tensor embed(const at::Tensor& ids) = 0;
  // -> [tokens, hidden_size] after the final norm. The rows of the cache get these tokens, for which they take blocks.
  // Error(internal) if none are free.
  virtual at::Tensor forward(const DecoderInput& input) = 0;
  // [vocab_size, hidden_size]; logits = hidden · headᵀ and added_products(), and then what logit_rule() says.
  virtual at::Tensor head_weight() = 0;
  // What methods of fine-tuning on the head add, of models whose module has it as a table (Module::tables()).
  virtual AddedProducts added_products(const at::Tensor& /*hidden_nd*/) { return {}; }
  virtual LogitRule logit_rule() const { return {}; }
  // Whether it has a head. A text tower, which makes vectors of texts for a dual encoder, has none: head_weight() is an
  // Error(config), and there is no cache.
  virtual bool writes() const { return true; }
  // Of text towers that read every text padded to one length, to whose last token its vector belongs, padding or not.
  virtual std::optional<TextPadding> padding() const { return std::nullopt; }
  // hidden [n, hidden_size] -> [n, vocab_size] in its dtype.
  virtual at::Tensor logits(const at::Tensor& hidden_nd);
  // Keeps the weights as "int8", "int4" or "nf4" from here on, frozen. Error(config) if the model does not support it.
  virtual Quantization quantize(const std::string& format);
  // What it keeps of texts between two calls of forward(), layer by layer.
  virtual StateShape state_shape() const = 0;
  // Whether forward() reads DecoderInput::ids_t, beside the embeddings that it gave for them.
  virtual bool reads_ids() const { return false; }
  // Whether forward() heeds DecoderInput::prefix. Then its layers keep keys and values alone, alike in all.
  virtual bool takes_prefix() const { return false; }
  // After how many blocks forward() adds what DecoderInput::added says.
  virtual int64_t most_added() const { return 0; }
  virtual Module& module() = 0;
  virtual NameMap name_map() const = 0;
  // The blocks of its stack in the order in which each forward pass runs them, once each (nn/blocks/run_blocks.h): what
  // several processes can cut up and make whole one after the other. Default: it does not say.
  virtual std::vector<Module*> blocks() { return {}; }
  // Keeps this process's part of everything, on the meta device still, for processes that compute each batch together.
  // With a group, from then on embed() gives this process's part of the embeddings, to be added up by forward(),
  // head_weight() the rows of some tokens, and forward() all hidden states. With contexts, forward() gives those of
  // this process's tokens, and x_td of all but the first counts for nothing. With stages, x_td of forward() is read in
  // the first only, but for its dtype; forward() gives hidden states in the last, and in the others the scalar 0 that
  // their backward pass begins with (nn/pipeline_stage.h); embed() is called in the first and head_weight() in the
  // last. Error(config) naming the key of [parallel] if it cannot be divided so. Default: it cannot.
  virtual void share(const SharedBy& by);
  virtual TokenPart head_part() const { return {}; }
};

template <>
struct KindOf<LanguageModel> : Kind<> {
  static constexpr const char* name = "language_model";
};

}  // namespace antiphon
