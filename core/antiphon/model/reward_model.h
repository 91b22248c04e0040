// The graph "reward_model": streams into a language model, and a head that gives numbers of each sequence, read off the
// hidden state of its last supervised token (Ouyang et al. 2022), as transformers' …ForSequenceClassification does with
// the last token.
#pragma once
#include <antiphon/component/head.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::model {

class RewardModel : public Model {
 public:
  static std::unique_ptr<RewardModel> build(ModelSpec& spec);

  void load(const LoadSettings& settings) override;
  std::vector<Part> parts() override;
  MultimodalLm& lm() override { return *lm_; }
  const ComponentSpec* head_spec() const override { return &head_spec_; }
  int64_t scores() const override { return head_->outputs(); }
  // Error(data) if a sequence has no supervised token.
  at::Tensor score(const Batch& batch, const nn::TokenScoreOptions& options) override;

 private:
  std::unique_ptr<MultimodalLm> lm_;
  std::unique_ptr<Head> head_;
  ComponentSpec head_spec_;
};

}  // namespace antiphon::model
