#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "whisper.h"

ANTIPHON_PLUGIN(whisper, "0.1.0") {
  using namespace antiphon::whisper;
  antiphon::register_component<antiphon::Encoder, Whisper>(
      registrar, "whisper", "Whisper's speech encoder with its log-mel", whisper_table());
}
