# Chat templates that are hostile: what they may cost, and their fuzz target.
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "faults: chat templates"
    COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/template_limits.py $<TARGET_FILE:template_probe>)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(TEMPLATE_ICU REQUIRED IMPORTED_TARGET icu-uc)
file(GLOB template_sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/core/antiphon ${CMAKE_SOURCE_DIR}/core/antiphon/text/jinja/*.cpp)
list(TRANSFORM template_sources REPLACE "[.]cpp$" "")
antiphon_fuzz(template LONG CORPUS fuzz/corpus/template LIBS PkgConfig::TEMPLATE_ICU
  SOURCES ${template_sources} text/template/chat_template text/template/gguf_template text/template/message_keys text/template/tekken_template text/tokenizer/json_fields text/unicode base/error base/files base/gguf base/gguf_file base/json base/paths base/sample_time base/shown base/strings)
