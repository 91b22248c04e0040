// antiphon_bench VERB: shapes with random weights, through the same calls as the program. Run by benchmarks/run.py
// beside benchmarks/peer_*.py, which print the same keys.
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <antiphon/base/error.h>
#include <antiphon/base/heap.h>
#include <antiphon/base/log.h>
#include <antiphon/early/settings.h>

#include "device_bench.h"
#include "session_bench.h"
#include "verbs.h"

namespace antiphon::bench {
namespace {

using Verb = std::function<void()>;

// Each takes the options that it reads; those of the program stand before or after it.
void add_training(CLI::App& program, Flags& flags, Verb& chosen) {
  auto* train_verb = program.add_subcommand("train", "one length; LoRA r16 on the 7 projections, or all parameters");
  train_verb->add_flag("--full", flags.full, "train all parameters");
  train_verb->add_flag("--recompute", flags.recompute, "activations of every block are computed again");
  auto* mixed_verb = program.add_subcommand("mixed", "many lengths, packed; LoRA");
  mixed_verb->add_option("--lengths", flags.lengths)->required()->delimiter(',');
  mixed_verb->add_option("--tokens-per-batch", flags.budget)->check(CLI::PositiveNumber);
  auto* llava_verb =
      program.add_subcommand("llava", "a picture in each sample; CLIP ViT-B/32 and a connector of 2 layers");
  llava_verb->add_option("--stage", flags.what)->required()->check(CLI::IsMember({"connector", "full", "lora"}));
  auto* vision_verb = program.add_subcommand("vision", "Qwen3-VL with fewer blocks, a picture in each sample");
  auto* omni_verb = program.add_subcommand("omni", "Qwen2.5-Omni's thinker with fewer blocks, a picture and a sound");
  for (auto* verb : {vision_verb, omni_verb}) {
    verb->add_option("--what", flags.what)->required()->check(CLI::IsMember({"train", "decode"}));
    verb->add_option("--layers", flags.layers)->check(CLI::PositiveNumber);
    verb->add_option("--blocks", flags.blocks)->check(CLI::Range(3, 24));
  }
  for (auto* verb : {train_verb, llava_verb, vision_verb, omni_verb}) {
    verb->add_option("--batch", flags.batch)->check(CLI::PositiveNumber);
    verb->add_option("--seq", flags.sequence)->check(CLI::PositiveNumber);
  }
  train_verb->callback([&] { chosen = [&] { train(flags); }; });
  mixed_verb->callback([&] { chosen = [&] { mixed(flags); }; });
  llava_verb->callback([&] { chosen = [&] { llava(flags); }; });
  vision_verb->callback([&] { chosen = [&] { vision(flags); }; });
  omni_verb->callback([&] { chosen = [&] { omni(flags); }; });
}

void add_inference(CLI::App& program, Flags& flags, SessionFlags& spoken, Verb& chosen) {
  auto* decode_verb = program.add_subcommand("decode", "greedy, KV cache");
  decode_verb->add_option("--rows", flags.rows, "answers at once")->check(CLI::PositiveNumber);
  decode_verb->add_option("--weights", flags.weights)->check(CLI::IsMember({"int8", "int4"}));
  decode_verb->callback([&] { chosen = [&] { decode(flags); }; });
  auto* encode_verb = program.add_subcommand("encode", "an encoder's forward pass");
  encode_verb->add_option("--what", flags.what)->required()->check(CLI::IsMember({"whisper", "clip", "siglip"}));
  encode_verb->add_option("--batch", flags.batch)->check(CLI::PositiveNumber);
  encode_verb->callback([&] { chosen = [&] { encode(flags); }; });
  auto* session_verb = program.add_subcommand("session", "from the end of a spoken turn to the first token");
  session_verb->add_option("--recipe", spoken.recipe, "its weights are read")->required();
  session_verb->add_option("--sound", spoken.sound, "speech, repeated to the length")->required();
  session_verb->add_option("--detector", spoken.detector, "directory of the voice activity detector")->required();
  session_verb->add_option("--chunk", spoken.chunk, "seconds");
  session_verb->add_option("--left-context", spoken.left_context, "seconds");
  session_verb->add_option("--seconds", spoken.seconds, "lengths of the turns");
  session_verb->callback([&] {
    spoken.dtype = flags.dtype, spoken.repeats = flags.repeats;
    chosen = [&] { session(spoken); };
  });
}

void add_media_and_files(CLI::App& program, Flags& flags, Verb& chosen) {
  program.add_subcommand("mel", "log-mel of 30 s")->callback([&] { chosen = [&] { mel(flags); }; });
  auto* pictures_verb = program.add_subcommand("pictures", "640x480 to CLIP's 224x224 pixels");
  pictures_verb->add_option("--batch", flags.batch)->check(CLI::PositiveNumber);
  pictures_verb->callback([&] { chosen = [&] { pictures(flags); }; });
  auto* video_verb = program.add_subcommand("video", "every frame of a clip of 30 frames a second to 224x224");
  video_verb->add_option("--file", flags.path)->required()->check(CLI::ExistingFile);
  video_verb->callback([&] { chosen = [&] { video(flags); }; });
  auto* checkpoint_verb = program.add_subcommand("checkpoint", "512 MB of a run's tensors to the disk");
  auto* load_verb = program.add_subcommand("load", "512 MB of safetensors into a module");
  auto* tokenize_verb = program.add_subcommand("tokenize", "lines of text to ids, one thread");
  for (auto* verb : {checkpoint_verb, load_verb, tokenize_verb}) verb->add_option("--folder", flags.path)->required();
  tokenize_verb->callback([&] { chosen = [&] { tokenize(flags); }; });
  checkpoint_verb->callback([&] { chosen = [&] { checkpoint(flags); }; });
  load_verb->callback([&] { chosen = [&] { load(flags); }; });
}

void add_device(CLI::App& program, const Flags& flags, DeviceFlags& on_device, Verb& chosen) {
  auto* verb = program.add_subcommand("device", "a GPU's goals; --model, --dtype, --warmup and --reps count here too");
  verb->add_option("--device", on_device.device, "cuda, cuda:N or cpu");
  verb->add_option("--part", on_device.part)
      ->required()
      ->check(CLI::IsMember({"train", "full", "decode", "attention", "loss", "kernels"}));
  verb->add_option("--batch", on_device.batch)->check(CLI::PositiveNumber);
  verb->add_option("--seq", on_device.sequence, "tokens of a sample, or of a prompt")->check(CLI::PositiveNumber);
  verb->add_option("--layers", on_device.layers, "0: as the model has");
  verb->add_flag("--fp8", on_device.fp8, "linear layers in 8 bit floats; train and full");
  verb->add_option("--new", on_device.fresh, "tokens of an answer")->check(CLI::PositiveNumber);
  verb->callback([&] {
    on_device.model = flags.model, on_device.dtype = flags.dtype, on_device.repeats = flags.repeats;
    chosen = [&] { device(on_device); };
  });
}

int run(int argc, char** argv) {
  CLI::App program("Our half of the benchmarks; one JSON line.");
  program.require_subcommand(1);
  program.fallthrough();
  Flags flags;
  SessionFlags spoken;
  DeviceFlags on_device;
  Verb chosen;
  program.add_option("--model", flags.model, "TOML file with [model.llm]; its weights are not read");
  program.add_option("--dtype", flags.dtype)->check(CLI::IsMember({"auto", "fp32", "bf16"}));
  program.add_option("--threads", flags.threads, "0: as LibTorch chooses");
  program.add_option("--warmup", flags.repeats.warmup)->check(CLI::PositiveNumber);
  program.add_option("--reps", flags.repeats.count)->check(CLI::PositiveNumber);
  add_training(program, flags, chosen);
  add_inference(program, flags, spoken, chosen);
  add_media_and_files(program, flags, chosen);
  add_device(program, flags, on_device, chosen);
  CLI11_PARSE(program, argc, argv);
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  chosen();
  return 0;
}

}  // namespace
}  // namespace antiphon::bench

int main(int argc, char** argv) {
  if (antiphon::early::settle())
    execv("/proc/self/exe", argv);  // which the OpenMP and C libraries read when they are loaded
  antiphon::keep_freed_memory();
  antiphon::log::set_level(antiphon::log::Level::warning);
  try {
    return antiphon::bench::run(argc, argv);
  } catch (const antiphon::Error& error) {
    antiphon::log::error(error.what());
    return static_cast<int>(error.kind());
  }
}
