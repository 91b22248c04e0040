// The [model] part of a configuration.
#pragma once
#include <map>
#include <string>
#include <vector>

#include <antiphon/config/schema.h>

namespace antiphon::model {

// One slot. The keys that are not the slot's own are the component's options.
struct ComponentSpec {
  std::string plugin;
  std::string weights;  // a Hugging Face directory, or an adapter's; empty: random
  std::string part;     // which part of a whole model `weights` is meant; empty: all of it
  bool trainable = false;
  std::vector<ComponentSpec> peft;  // adapters on its sites, if it is a part of the model
  // Of a method of fine-tuning: by which it is chosen, empty: it is always in use; whether it is not trained; and which
  // tokens it changes (TokenChoice).
  std::string name;
  bool frozen = false;
  std::string only = "all";
  config::Value options = config::Value::Table{};

  // Whether training changes what it computes.
  bool trained() const { return trainable || !peft.empty(); }
};

inline ComponentSpec trained_slot() {
  ComponentSpec slot;
  slot.trainable = true;
  return slot;
}

struct LanguageModelSpec {
  std::string plugin, weights, part;
  std::string tokenizer;             // a directory; empty: `weights`
  std::string chat_template;         // a Jinja file; empty: that of the tokenizer's directory
  config::Value template_variables;  // a table of the template's other variables
  bool trainable = false;
  std::vector<ComponentSpec> peft;
  config::Value options = config::Value::Table{};
};

struct StreamSpec {
  bool enabled = true;            // false drops a stream that an extended file composes
  std::string placeholder;        // the token that the chat template writes for an item; empty: none is written
  std::string video_placeholder;  // for a video, of encoders that take them as items
  std::string begin, end;         // texts around the embeddings of an item, in place of the placeholder
  std::string row_break;          // the token after each row of an item's embeddings but the last; empty: none
  std::string part_end;           // a text that becomes tokens by itself, after the embeddings of each part of an item
  std::string part_break;         // the same between a part with its end and the next
  std::string sound_begin, sound_end;  // the tokens around a video with its sound among its embeddings (VideoRule)
  // Texts among the embeddings of a picture in tiles: before those of a tile, of which "{row}" and "{column}" are the
  // place, from 1; after a row of tiles; after all of them; and before those of the whole, which then stands last.
  std::string tile_begin, tile_row_end, tiles_end, whole_begin;
  config::Value encoder;  // a slot, or a list of slots whose features are joined
  ComponentSpec connector = trained_slot();
};

struct ModelSpec {
  std::string from;  // a Hugging Face directory of a whole model; expand_from() puts its composition in its place
  std::string graph = "multimodal_lm";
  LanguageModelSpec llm;
  std::map<std::string, StreamSpec> streams;
  ComponentSpec head = trained_slot();  // of graphs that have one; no plugin: none
  std::vector<std::string> freeze;      // globs over names of trained parameters (freeze.h)

  // Whether the chat template writes a token for the media of some stream, as transformers' processors want it.
  bool has_placeholders() const;
};

const config::Table<ComponentSpec>& frozen_slot();  // encoders: trainable = false by default
const config::Table<ModelSpec>& model_table();

}  // namespace antiphon::model
