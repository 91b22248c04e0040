// What the requests of model_probe share.
#pragma once
#include <nlohmann/json.hpp>

#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>
#include <antiphon/config/value.h>
#include <antiphon/model/attach_peft.h>
#include <antiphon/weights/safetensors.h>

namespace antiphon::probe {

using nlohmann::json;
using weights::NamedTensors;

// The TOML text under `key` of the request; an empty table if there is none.
config::Value toml(const json& request, const char* key);
at::ScalarType dtype_of(const json& request);  // "dtype": "fp32" (default), "fp64", "bf16" or "fp16"
at::Device device();                           // $ANTIPHON_TEST_DEVICE, or the CPU
// Writes the tensors to the request's "outputs".
void write_outputs(const json& request, NamedTensors tensors);
// "<prefix><checkpoint name>" -> gradient, for every parameter that requires one.
void add_gradients(NamedTensors& out, const std::string& prefix, Module& module, const NameMap& names);
// The methods of fine-tuning in "peft", tables [[peft]] as of a slot, on a module that has values. With any of them,
// nothing else of the module is trained.
std::vector<model::AttachedPeft> add_methods(const json& request, Module& module, const NameMap& names);

json run_model(const json& request);              // forward, loss and gradients of a composition
json run_parameters(const json& request);         // how many a composition has
json run_score(const json& request);              // numbers of sequences of a reward model, and gradients
json run_pairs(const json& request);              // vectors of a dual encoder, its loss, and gradients
json run_cached(const json& request);             // hidden states through the KV cache, in pieces
json run_in_pieces(const json& request);          // the same of conversations, media included
json run_generate(const json& request);           // answers
json run_read_again(const json& request);         // answers of a conversation that grows
json run_shares(const json& request);             // what sampling may draw of logits
json run_generation_config(const json& request);  // what is taken of a directory's, and what is said

}  // namespace antiphon::probe
