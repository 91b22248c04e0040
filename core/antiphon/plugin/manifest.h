// What a plugin file says about itself, in plain data that any loader can read before it runs any C++ of the plugin.
#pragma once
#include <cstdint>

#include <antiphon/plugin/registry.h>
#include <torch/headeronly/version.h>

// Bumped whenever a public header changes what a compiled plugin relies on.
#define ANTIPHON_PLUGIN_ABI 30

#define ANTIPHON_STRINGIFY_(x) #x
#define ANTIPHON_STRINGIFY(x) ANTIPHON_STRINGIFY_(x)
#if defined(__clang__)
#define ANTIPHON_COMPILER "clang " ANTIPHON_STRINGIFY(__clang_major__)
#else
#define ANTIPHON_COMPILER "gcc " ANTIPHON_STRINGIFY(__GNUC__)
#endif
#define ANTIPHON_TORCH_VERSION            \
  ANTIPHON_STRINGIFY(TORCH_VERSION_MAJOR) \
  "." ANTIPHON_STRINGIFY(TORCH_VERSION_MINOR) "." ANTIPHON_STRINGIFY(TORCH_VERSION_PATCH)
#if defined(__SANITIZE_ADDRESS__)
#define ANTIPHON_BUILD_TYPE "asan"
#elif defined(NDEBUG)
#define ANTIPHON_BUILD_TYPE "release"
#else
#define ANTIPHON_BUILD_TYPE "debug"
#endif

extern "C" {
// The first two members never move. Strings are static.
struct antiphon_plugin_manifest_t {
  uint32_t struct_size;
  uint32_t abi;
  const char* name;
  const char* version;
  const char* torch;     // "2.11.0"
  const char* compiler;  // "gcc 12"
  const char* cxx_abi;   // _GLIBCXX_USE_CXX11_ABI
  const char* build;     // release, debug, asan
};
}

// ANTIPHON_PLUGIN(name, "0.1.0") { antiphon::register_component<Encoder, …>(registrar, …); }
// exports the two symbols of a plugin: its manifest and its entry function. Once in each plugin.
#define ANTIPHON_PLUGIN(plugin_name, plugin_version)                                                          \
  static void antiphon_plugin_register_(antiphon::plugin::Registrar& registrar);                              \
  extern "C" {                                                                                                \
  __attribute__((visibility("default"))) extern const antiphon_plugin_manifest_t antiphon_plugin_manifest;    \
  const antiphon_plugin_manifest_t antiphon_plugin_manifest = {sizeof(antiphon_plugin_manifest_t),            \
                                                               ANTIPHON_PLUGIN_ABI,                           \
                                                               #plugin_name,                                  \
                                                               plugin_version,                                \
                                                               ANTIPHON_TORCH_VERSION,                        \
                                                               ANTIPHON_COMPILER,                             \
                                                               ANTIPHON_STRINGIFY(_GLIBCXX_USE_CXX11_ABI),    \
                                                               ANTIPHON_BUILD_TYPE};                          \
  __attribute__((visibility("default"))) void antiphon_plugin_entry(antiphon::plugin::Registrar& registrar) { \
    antiphon_plugin_register_(registrar);                                                                     \
  }                                                                                                           \
  }                                                                                                           \
  static void antiphon_plugin_register_([[maybe_unused]] antiphon::plugin::Registrar& registrar)
