# Chat templates that are hostile: what they may cost, and their fuzz target.
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "faults: chat templates"
    COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/template_limits.py $<TARGET_FILE:template_probe>)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(TEMPLATE_ICU REQUIRED IMPORTED_TARGET icu-uc)
# The engine alone: no LibTorch, so that sanitizers see all of it.
file(GLOB template_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/antiphon/text/jinja/*.cpp)
list(APPEND template_sources fuzz/template_fuzz.cpp)
foreach(source text/chat_template text/json_fields text/unicode base/error base/files base/json base/paths base/shown base/strings)
  list(APPEND template_sources ${CMAKE_SOURCE_DIR}/core/antiphon/${source}.cpp)
endforeach()
function(antiphon_template_fuzz TARGET SANITIZERS)
  add_executable(${TARGET} ${template_sources} ${ARGN})
  target_include_directories(${TARGET} PRIVATE ${CMAKE_SOURCE_DIR}/core)
  target_include_directories(${TARGET} SYSTEM PRIVATE ${ANTIPHON_TORCH_ROOT}/include)
  target_compile_definitions(${TARGET} PRIVATE FMT_HEADER_ONLY=1)
  target_compile_options(${TARGET} PRIVATE -g -O1 -fsanitize=${SANITIZERS} -fno-sanitize-recover=all)
  target_link_options(${TARGET} PRIVATE -fsanitize=${SANITIZERS})
  target_link_libraries(${TARGET} PRIVATE PkgConfig::TEMPLATE_ICU)
endfunction()
antiphon_template_fuzz(template_replay address,undefined fuzz/replay.cpp)
add_test(NAME "fuzz: template corpus" COMMAND template_replay ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/template)
# clang++ only: build/bin/template_fuzz tests/fuzz/corpus/template -max_total_time=60
if(ANTIPHON_FUZZ)
  antiphon_template_fuzz(template_fuzz fuzzer,address,undefined)
endif()
