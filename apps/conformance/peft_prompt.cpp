#include <ATen/ATen.h>

#include <antiphon/weights/adapter.h>
#include <antiphon/weights/checkpoint.h>
#include <common/temporary_folder.h>

#include "adapted.h"
#include "network.h"

namespace antiphon::apps::conformance {
namespace {

// What stands before every sequence: embeddings, or keys and values of each layer.
at::Tensor prompt_of(Peft& peft) { return peft.prefix_tokens() > 0 ? peft.prefix() : peft.prompt(); }

std::vector<int64_t> shape_of(const Peft& peft) {
  constexpr auto kv = Base::kv;
  if (peft.prefix_tokens() > 0) return {kv.layers, 2, peft.prefix_tokens(), kv.kv_heads, kv.head_size};
  return {peft.prompt_tokens(), Base::hidden_size};
}

// The embeddings of virtual tokens, of the number and width that were agreed.
Network prompt_network(const Subject& subject) {
  auto adapted = std::make_shared<Adapted>(attached(subject));
  return {adapted, &adapted->peft->module(),
          [peft = adapted->peft.get()](at::ScalarType type) { return prompt_of(*peft).to(type); }};
}

void prompt_has_its_shape(const Subject& subject) {
  const auto a = attached(subject);
  start(a.peft->module(), 3);
  expect_shape(prompt_of(*a.peft), shape_of(*a.peft), "what stands before every sequence");
  expect(a.paths.empty() && !a.peft->can_merge(), "expected no site, and nothing to merge, beside virtual tokens");
  expect_error(ErrorKind::config, {}, [&] { a.peft->merge(); });
}

void prompt_wants_a_language_model(const Subject& subject) {
  Base base;
  const auto peft = build<Peft>(subject);
  expect_error(ErrorKind::config, {}, [&] { peft->attach({base.sites()}); });
}

// What is written is what another program puts before its sequences.
void prompt_is_written(const Subject& subject) {
  const auto a = attached(subject);
  start(a.peft->module(), 6);
  const TemporaryFolder folder("conformance");
  weights::save_adapter(folder.path(), *a.peft, "");
  const auto written = weights::Checkpoint(folder.path() / "adapter_model.safetensors").tensor("prompt_embeddings");
  expect_close(written, a.peft->prompt_embeddings(), 1e-6, "the embeddings that are written");
  const auto read = attached(subject);
  if (read.peft->module().parameters().size() > 1)  // something computes the embeddings
    return expect_error(ErrorKind::weights, {}, [&] { weights::load_adapter(folder.path(), *read.peft); });
  weights::load_adapter(folder.path(), *read.peft);
  expect(at::equal(read.peft->prompt_embeddings(), written), "expected the embeddings back as they were written");
}

}  // namespace

void check_prompt(Report& report, const Subject& subject) {
  report.check("prompt: of the shape that was agreed", [&] { prompt_has_its_shape(subject); });
  report.check("prompt: refused for a part without sequences", [&] { prompt_wants_a_language_model(subject); });
  report.check("files: the embeddings are written, and read if nothing computes them",
               [&] { prompt_is_written(subject); });
  check_network(report, [&] { return prompt_network(subject); });
}

}  // namespace antiphon::apps::conformance
