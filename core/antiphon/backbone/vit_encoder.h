// Image encoders on a vision transformer: code shared by their plugins, and the options of their tables.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/config/schema.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/vit.h>

namespace antiphon::backbone {

// Base of image encoders on a Vit. A plugin adds the processor and the name map.
class VitEncoder : public Encoder {
 public:
  VitEncoder(const nn::VitOptions& options, const nn::VitKind& kind);
  Modality modality() const override { return Modality::image; }
  int64_t output_size() const override { return vit_.pool() ? vit_.pool()->output_size() : width_; }
  TokenGrid output_grid(at::IntArrayRef part_shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  Module& module() override { return vit_; }

 protected:
  const nn::Vit& vit() const { return vit_; }
  // Of options.pooled: forward() gives one vector a picture. Error(config) with `layer` or `class_token`.
  void pool_with(std::unique_ptr<nn::VitPool> pool);

 private:
  int64_t width_;
  bool has_class_token_, keep_class_token_;
  nn::Vit vit_;
};

// Adds the keys of VitOptions to the table of an options struct that derives from it; `class_token`: whether the family
// has one.
template <class Options>
config::Table<Options>& add_vit_fields(config::Table<Options>& table, bool class_token) {
  using V = nn::VitOptions;
  auto of = []<class M>(M V::*member) -> M Options::* { return member; };
  if (class_token) table.field("class_token", of(&V::keep_class_token), "keep the class token as the first vector");
  return table.field("hidden_size", of(&V::hidden_size), "width", {.min = 1, .max = 1 << 20})
      .field("intermediate_size", of(&V::intermediate_size), "width of the MLP", {.min = 1, .max = 1 << 22})
      .field("num_layers", of(&V::num_layers), "blocks of the checkpoint", {.min = 1, .max = 1000})
      .field("num_heads", of(&V::num_heads), "attention heads", {.min = 1, .max = 1 << 16})
      .field("image_size", of(&V::image_size), "picture size of the position table, pixels", {.min = 1, .max = 16384})
      .field("patch_size", of(&V::patch_size), "pixels", {.min = 1, .max = 4096})
      .field("layer_norm_eps", of(&V::layer_norm_eps), "epsilon of the norms", {.min = 0, .max = 1})
      .field("activation", of(&V::activation), "of the MLP", {.choices = nn::activation_names()})
      .field("layer", of(&V::layer),
             "feature layer: -1 is the last, with the final norm if the model has one; -2 the output of the block "
             "before, without it; 0 the patch embedding, n block n");
}

}  // namespace antiphon::backbone
