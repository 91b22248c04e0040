# The fuzz target of tokenizer files.
find_package(PkgConfig REQUIRED)
pkg_check_modules(TOKENIZER_LIBRARIES REQUIRED IMPORTED_TARGET libpcre2-8 icu-uc)
foreach(name added_tokens bpe byte_alphabet data_guard json_fields llama_tokenizer normalizer pattern pattern_field pattern_translate pre_tokenizer
             token_spelling tokenizer tokenizer_load unicode)
  list(APPEND tokenizer_sources text/${name})
endforeach()
antiphon_fuzz(tokenizer CORPUS fuzz/corpus/tokenizer LIBS PkgConfig::TOKENIZER_LIBRARIES
  SOURCES ${tokenizer_sources} base/error base/files base/json base/paths base/shown base/strings)
