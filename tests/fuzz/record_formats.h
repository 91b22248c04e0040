// Included before all else into the plugins of record formats, which a fuzz target is made of
// (cmake/AntiphonFuzz.cmake): they register with it, and the program's registry, which needs LibTorch, is left out.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <antiphon/component/record_format.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon {

using RegisteredFormats = std::vector<std::unique_ptr<RecordFormat>>;

// Options beside the default ones, with which a format is another one of the target's.
template <class Options>
std::vector<Options> other_options() {
  if constexpr (requires(Options o) { o.context_file, o.audio_mark; }) {
    Options options;
    options.context_file = ANTIPHON_FUZZ_FOLDER "/questions.txt", options.audio_mark = "[audio]";
    return {options};
  }
  return {};
}

template <class Interface, class Component, class Options>
void register_component(RegisteredFormats& all, const char*, const char*, const config::Table<Options>&) {
  all.push_back(std::make_unique<Component>(Options{}));
  for (const auto& options : other_options<Options>()) all.push_back(std::make_unique<Component>(options));
}

template <class Interface, class Component>
void register_component(RegisteredFormats& all, const char*, const char*) {
  all.push_back(std::make_unique<Component>());
}

}  // namespace antiphon

#undef ANTIPHON_PLUGIN
#define ANTIPHON_PLUGIN(name, version) void register_##name(antiphon::RegisteredFormats& registrar)
