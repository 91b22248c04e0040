// What a message says: its "content", a text or a list of parts.
#pragma once
#include <antiphon/component/record/turns.h>

namespace antiphon::records {

// Appends to turn.parts; the role and the calls of tools have been read. A text part, {"type": "text", "text"}; media,
// {"type": "image", "image": PATH} (audio, video); and those of OpenAI's interface: image_url, audio_url, video_url and
// input_audio. A part of a sound may name a piece of it (pieces.h). Error(data) if a part shows two things.
void read_content(const Json& message, SampleTurn& turn, Record& record);

}  // namespace antiphon::records
