// A conversation as a line of a data set.
#pragma once
#include <antiphon/component/sample.h>

namespace antiphon::session {

// One line of the layout "messages", which training and evaluation read. Sound that came from a microphone is written
// beside it, as FILE.sound-1.wav; frames of videos stand for the video again. Error(data) if it cannot be written.
void save_conversation(const Sample& conversation, const std::filesystem::path& file);

}  // namespace antiphon::session
