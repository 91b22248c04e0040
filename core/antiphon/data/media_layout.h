// The tokens of a medium as its stream wants them: texts and tokens among its embeddings.
#pragma once
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::data {

// Gives the item the tokens of text that StreamSpec names between and around its rows and parts. Error(config) if they
// have no place, or are not tokens.
void lay_out(model::BatchMedia& media, const model::MultimodalLm& model, const text::Tokenizer& tokenizer);
// Puts the sound of a video among its embeddings (model/sound_within.h). What both were computed from names either.
void lay_within(model::BatchMedia& sound, model::BatchMedia& video, const model::MultimodalLm& model,
                const text::Tokenizer& tokenizer);

}  // namespace antiphon::data
