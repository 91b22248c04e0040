// AdamW (Loshchilov & Hutter 2019), in one fused call for all parameters of a group.
#pragma once
#include <antiphon/component/update_rule.h>
#include <antiphon/config/schema.h>

namespace antiphon::adamw {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
};
const config::Table<AdamWOptions>& adamw_table();

class AdamW : public UpdateRule {
 public:
  explicit AdamW(const AdamWOptions& options) : o_(options) {}
  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override;
  void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) override;
  bool elementwise() const override { return true; }

 private:
  AdamWOptions o_;
};

}  // namespace antiphon::adamw
