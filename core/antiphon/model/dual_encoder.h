// The graph "dual_encoder": a tower that makes one vector of a medium, one that makes one of a text, and a head that
// says how the two are compared: CLIP (Radford et al. 2021), SigLIP (Zhai et al. 2023).
#pragma once
#include <antiphon/component/head.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::model {

class DualEncoder : public Model {
 public:
  // The connectors give vectors of the width that the head projects texts to.
  static std::unique_ptr<DualEncoder> build(ModelSpec& spec);

  void load(const LoadSettings& settings) override;
  std::vector<Part> parts() override;
  void share(const SharedBy& by) override;
  MultimodalLm& lm() override { return *lm_; }
  const ComponentSpec* head_spec() const override { return &head_spec_; }
  int64_t scores() const override { return 2 * (width() + 1); }
  bool pairs() const override { return true; }
  int64_t longest_sequence() override;  // a text and the place of a medium
  // Of each sequence, whose text is its supervised tokens: [scale · x, bias] of its medium and [y, 1] of its text, x
  // and y of length 1, so that the product of the two halves, of any two sequences, is their logit. Error(data) unless
  // each sequence has one medium of one vector.
  at::Tensor score(const Batch& batch, const nn::TokenScoreOptions& options) override;

  // The second halves of texts: [texts, width + 1].
  at::Tensor text_vectors(const std::vector<std::vector<int64_t>>& texts) override;

 private:
  int64_t width() const { return head_->outputs() - 2; }
  // As the head gives them, of the texts that are this process's (MultimodalLm::own_rows): [own, width + 2], float32.
  at::Tensor heads_of_own(const std::vector<std::vector<int64_t>>& texts);
  at::Tensor media_vectors(const Batch& batch);

  std::unique_ptr<MultimodalLm> lm_;
  std::unique_ptr<Head> head_;
  ComponentSpec head_spec_;
};

}  // namespace antiphon::model
