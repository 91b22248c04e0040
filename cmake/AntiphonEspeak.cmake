# antiphon::espeak: the library of espeak-ng. The plugin that speaks with it (plugins/speech_synthesizers/espeak) is built
# only if it is there.
set(ANTIPHON_ESPEAK AUTO CACHE STRING "speak with espeak-ng: AUTO (if its library is found), ON or OFF")

find_path(ANTIPHON_ESPEAK_INCLUDE espeak-ng/speak_lib.h)
find_library(ANTIPHON_ESPEAK_LIBRARY espeak-ng)
set(ANTIPHON_HAS_ESPEAK OFF)
if(ANTIPHON_ESPEAK AND ANTIPHON_ESPEAK_INCLUDE AND ANTIPHON_ESPEAK_LIBRARY)
  set(ANTIPHON_HAS_ESPEAK ON)
  add_library(antiphon_espeak INTERFACE)
  add_library(antiphon::espeak ALIAS antiphon_espeak)
  target_include_directories(antiphon_espeak SYSTEM INTERFACE ${ANTIPHON_ESPEAK_INCLUDE})
  target_link_libraries(antiphon_espeak INTERFACE ${ANTIPHON_ESPEAK_LIBRARY})
  message(STATUS "espeak-ng: ${ANTIPHON_ESPEAK_LIBRARY}")
elseif(ANTIPHON_ESPEAK AND NOT ANTIPHON_ESPEAK STREQUAL AUTO)
  message(FATAL_ERROR "ANTIPHON_ESPEAK is ${ANTIPHON_ESPEAK} and libespeak-ng is missing: run ./setup system")
else()
  message(STATUS "espeak-ng: off; its library (libespeak-ng-dev) is not there, or ANTIPHON_ESPEAK is OFF")
endif()
