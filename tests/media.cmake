# The readers of media files that are our own, without FFmpeg and LibTorch, so that sanitizers see all of them.
file(GLOB media_header_sources ${CMAKE_SOURCE_DIR}/core/antiphon/base/error.cpp ${CMAKE_SOURCE_DIR}/core/antiphon/base/strings.cpp
  ${CMAKE_SOURCE_DIR}/core/antiphon/base/shown.cpp)
foreach(name gif image_header jpeg_header limits orientation png sound_length tiff webp)
  list(APPEND media_header_sources ${CMAKE_SOURCE_DIR}/core/antiphon/media/${name}.cpp)
endforeach()
function(antiphon_media_headers_fuzz TARGET SANITIZERS)
  add_executable(${TARGET} fuzz/media_headers_fuzz.cpp ${media_header_sources} ${ARGN})
  target_include_directories(${TARGET} PRIVATE ${CMAKE_SOURCE_DIR}/core)
  target_include_directories(${TARGET} SYSTEM PRIVATE ${ANTIPHON_TORCH_ROOT}/include)
  target_compile_definitions(${TARGET} PRIVATE FMT_HEADER_ONLY=1)
  target_compile_options(${TARGET} PRIVATE -g -O1 -fsanitize=${SANITIZERS} -fno-sanitize-recover=all)
  target_link_options(${TARGET} PRIVATE -fsanitize=${SANITIZERS})
  target_link_libraries(${TARGET} PRIVATE z)
endfunction()
antiphon_media_headers_fuzz(media_headers_replay address,undefined fuzz/replay.cpp)
add_test(NAME "fuzz: media headers corpus" COMMAND media_headers_replay ${CMAKE_CURRENT_SOURCE_DIR}/media ${CMAKE_CURRENT_SOURCE_DIR}/media/jpeg
  ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/media_headers)
# clang++ only: build/bin/media_headers_fuzz tests/fuzz/corpus/media_headers tests/media -max_total_time=60
if(ANTIPHON_FUZZ)
  antiphon_media_headers_fuzz(media_headers_fuzz fuzzer,address,undefined)
endif()
