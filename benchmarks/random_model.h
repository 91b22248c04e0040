// A model of the shape of a file, with random weights, and samples for it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <antiphon/data/prepare.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::bench {

inline constexpr const char* kLora =
    R"(model.llm.peft=[{plugin = "lora", rank = 16, alpha = 32, targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]}])";

// `settings` are as those of `--set`.
std::unique_ptr<model::MultimodalLm> random_model(const std::string& file, const std::string& dtype,
                                                  const std::vector<std::string>& settings);

// Random tokens, all supervised.
data::Prepared random_sample(model::MultimodalLm& model, int64_t tokens);

Image random_picture(int64_t height, int64_t width);
Audio random_sound(double seconds);
// As a loader thread reads an item for the model.
model::BatchMedia random_media(model::MultimodalLm& model, const MediaItem& item);

}  // namespace antiphon::bench
