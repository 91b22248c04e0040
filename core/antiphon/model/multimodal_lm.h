// The model "multimodal_lm": any number of streams into one language model, none of them required.
#pragma once
#include <functional>
#include <map>
#include <memory>

#include <antiphon/component/language_model.h>
#include <antiphon/model/attach_peft.h>
#include <antiphon/model/model.h>
#include <antiphon/nn/token_slices.h>

namespace antiphon::model {

class MultimodalLm : public Model {
 public:
  // See model.h. `width`: of what connectors give, by the language model; none: its hidden_size.
  using Width = std::function<int64_t(const LanguageModel& llm, config::Problems& problems)>;
  static std::unique_ptr<MultimodalLm> build(ModelSpec& spec, const Width& width = {});

  void load(const LoadSettings& settings) override;
  std::vector<Part> parts() override;
  MultimodalLm& lm() override { return *this; }
  at::Tensor score(const Batch& batch, const nn::TokenScoreOptions& options) override;

  LanguageModel& llm() { return *llm_; }
  const LanguageModel& llm() const { return *llm_; }
  const ModelSpec& spec() const { return spec_; }
  const std::map<std::string, std::unique_ptr<Stream>>& streams() const { return streams_; }
  // Of all parts: the adapters of pefts()[i] are of set i.
  const std::vector<AttachedPeft>& pefts() const { return pefts_; }
  void note_given(size_t peft, bool given) { pefts_[peft].given = given; }
  // Of the methods with a name, those that change the model from here on; those without one always do. Error(config)
  // for a name that none has, and once methods are folded in.
  void use_adapters(const std::vector<std::string>& names);
  std::vector<std::string> adapter_names(bool in_use = false) const;  // in_use: of those that change it now
  bool in_use(size_t peft) const { return (in_use_ >> peft & 1) != 0; }
  // Those in use are part of the weights now, or will be: there is nothing to choose any more.
  void fold_in() { folded_in_ = true; }
  // Virtual tokens that every sequence begins with.
  int64_t prompt_tokens() const;
  // Keys and values that stand before those of every sequence, of the methods that are active (AdapterScope).
  int64_t prefix_tokens() const;
  // Whether a method changes some tokens only; what the rows of a batch, or of so many tokens that were written, are to
  // it, null if there is none.
  bool chooses_tokens() const { return chooses_tokens_; }
  std::shared_ptr<const TokenKinds> kinds_of(const Batch& batch) const;
  std::shared_ptr<const TokenKinds> kinds_of_text(int64_t tokens) const;
  // Positions that are left for a sequence.
  int64_t context() const { return llm_->max_positions() - prefix_tokens(); }
  // The stream for a media part: the one named `wanted`, or else the only one of that modality, or for a video the only
  // one that takes videos as items. Error(data).
  const Stream& stream_for(Modality modality, const std::string& wanted = {}) const;
  // Linear sites of the language model under their Hugging Face names.
  std::vector<Site> sites();
  const NumberFormats& formats() const { return settings_.formats; }
  at::ScalarType compute_dtype() const { return settings_.formats.compute; }
  at::Device device() const { return settings_.device; }

  // Encodes the media of a batch that have no features yet: images together, except those that go into a cache. The
  // same content is encoded once. Of processes that compute a batch together each encodes some if the encoders are
  // frozen, and the first has all then; it alone encodes what learns.
  void encode(Batch& batch);
  // Text and media embeddings [tokens, hidden_size]; the media must be encoded. `added`: gets what connectors give
  // beside them, of the tokens of this process's slice (nn/token_slices.h). Error(internal) with the sample id if a
  // connector gives a different number of rows than it announced.
  at::Tensor embed(const Batch& batch, AddedStates* added = nullptr);
  // What the connector of a stream gives for its media in a batch, which must be so many: [count, width], in the
  // dtype of computing.
  at::Tensor media_embeddings(const Batch& batch, const std::string& name, int64_t count) const;
  // An empty cache of so many blocks, for forward(); what stands before every sequence has blocks beside them.
  DecoderState make_cache(int64_t blocks) const;
  // Each with its part of the language model; what else is trained is told to it here.
  void share(const SharedBy& by) override;
  // Of the chunk that a pass computes (component/pipeline_pass.h): whether it begins with the embeddings, and whether
  // it ends with what score() gives. A model that is not a stage of a pipeline does both.
  bool is_first_stage() const;
  bool is_last_stage() const;
  bool is_first() const;  // of the processes that compute a batch together
  int chunks() const { return by_.chunks; }
  // Neither of any stream's encoders is trained, nor are adapters on one: features of media stay what they are.
  bool encoders_frozen() const;
  // What the language model reads of a batch. If there is a cache, its rows begin with what stands before sequences.
  DecoderInput input_of(const Batch& batch, DecoderState* cache = nullptr, const std::vector<int64_t>& rows = {});
  // Hidden states [tokens, hidden_size] after the final norm; of a stage that is not the last, see LanguageModel.
  at::Tensor forward(const Batch& batch, DecoderState* cache = nullptr, const std::vector<int64_t>& rows = {});
  // Logits of the tokens that come after `last_n`, [n] in rising order, of a batch whose media are encoded:
  // [n, vocab_size], in each process in which the batch ends; undefined in others. Of processes that have the model
  // together all call it alike. Without gradients.
  at::Tensor next_logits(const Batch& batch, const at::Tensor& last_n);
  // Of a batch that ends in this process (is_last_stage()): what `body` makes of the hidden states of some of its
  // tokens, [n] in rising order, row by row, for all of these. Of processes that compute the batch together each has
  // `given` by forward() and computes some of the rows, of which it has the gradient; all have the values.
  at::Tensor of_all_rows(const at::Tensor& given, const Batch& batch, const at::Tensor& tokens_n,
                         const std::function<at::Tensor(const at::Tensor& hidden_nd)>& body) const;
  // Of rows that the parts of a batch's processes share, those of this process; of rows [n, any] that the first has,
  // its own; and all of them, of which each has the gradient of its own. Nobody shares: it has all.
  nn::Part own_rows(int64_t rows) const;
  at::Tensor own_of_first(const at::Tensor& rows_nd) const;
  at::Tensor all_of_own(const at::Tensor& own_nd, int64_t rows) const;

 private:
  // Of tokens [n] in rising order: how many each context has, and where those of this process's context lie among all
  // and in what forward() gives.
  struct OwnTokens {
    std::vector<int64_t> in_contexts;
    int64_t begin = 0, count = 0;
    at::Tensor rows_n;
  };
  OwnTokens own_of(const at::Tensor& tokens_n, const Batch& batch) const;
  // `tapped`: gets, by stream, what connectors with taps give beside embeddings: [embeddings, taps * hidden_size].
  at::Tensor embedded(const Batch& batch, std::map<std::string, at::Tensor>& tapped);
  AddedStates added_to_own(const Batch& batch, const std::map<std::string, at::Tensor>& tapped) const;
  void attach_all(ModelSpec& spec, config::Problems& problems);
  bool active(size_t peft) const { return in_use(peft) && AdapterScope::active(static_cast<int>(peft)); }
  at::Tensor prompt() const;
  at::Tensor prefix() const;
  at::Tensor embeddings_of(const at::Tensor& ids);
  ModelSpec spec_;
  LoadSettings settings_;
  SharedBy by_;
  std::unique_ptr<LanguageModel> llm_;
  std::map<std::string, std::unique_ptr<Stream>> streams_;
  std::vector<AttachedPeft> pefts_;
  uint64_t in_use_ = ~uint64_t{0};  // bit i: pefts_[i]
  bool folded_in_ = false;
  bool chooses_tokens_ = false;  // adapters of some method change some tokens only
  std::vector<std::pair<nn::Linear*, std::vector<std::shared_ptr<LinearAdapter>>>> adapters_;  // all, once some are not
  std::vector<std::pair<TokenTable*, std::vector<std::shared_ptr<TableAdapter>>>> table_adapters_;  // the same
  std::map<std::string, std::vector<NameRule>> whole_names_;  // of parts that come from a whole model, by path
};

}  // namespace antiphon::model
