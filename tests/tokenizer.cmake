# The fuzz target of tokenizer files.
find_package(PkgConfig REQUIRED)
pkg_check_modules(TOKENIZER_LIBRARIES REQUIRED IMPORTED_TARGET libpcre2-8 icu-uc)
file(GLOB tokenizer_sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/core/antiphon ${CMAKE_SOURCE_DIR}/core/antiphon/text/tokenizer/*.cpp)
list(FILTER tokenizer_sources EXCLUDE REGEX "_test[.]cpp$")
list(TRANSFORM tokenizer_sources REPLACE "[.]cpp$" "")
antiphon_fuzz(tokenizer CORPUS fuzz/corpus/tokenizer LIBS PkgConfig::TOKENIZER_LIBRARIES
  SOURCES ${tokenizer_sources} text/template/data_guard text/unicode base/base64 base/error base/files base/gguf base/gguf_file base/json base/paths base/shown base/strings)
