//! Zstandard, with one context each way that is kept for the next batch. Frames may be concatenated.
//! Windows above 128 MiB are refused, as Kafka's library does by default.

use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, DParameter, ErrorCode, InBuffer, OutBuffer, ResetDirective,
    compress_bound, get_error_name, get_frame_content_size,
};

use super::output::Output;
use super::{CompressionType, broken, refused};
use crate::RecordError;

const CODEC: CompressionType = CompressionType::Zstd;
const WINDOW_LOG_MAX: u32 = 27;
const DEFAULT_LEVEL: i32 = 3;
const STEP_BYTES: usize = 64 * 1024;
/// A stated size is believed at once up to this many bytes per compressed byte; beyond, the
/// output grows as it is produced.
const BELIEVED_PER_BYTE: usize = 64;

#[derive(Default)]
pub struct Decoder {
    context: Option<DCtx<'static>>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("zstd::Decoder")
    }
}

impl Decoder {
    pub fn decode(&mut self, compressed: &[u8], output: &mut Output) -> Result<(), RecordError> {
        let context = self.ready_context()?;
        let mut input = InBuffer::around(compressed);
        let mut wanted = first_room(compressed);
        loop {
            let before_in = input.pos();
            let room = output.room(wanted)?;
            let mut target = OutBuffer::around(room);
            let hint = context
                .decompress_stream(&mut target, &mut input)
                .map_err(fault)?;
            let written = target.pos();
            output.wrote(written);
            wanted = STEP_BYTES;
            let is_input_used = input.pos() == compressed.len();
            if hint == 0 && is_input_used {
                return Ok(());
            }
            if written == 0 && input.pos() == before_in {
                return Err(broken(CODEC, "the compressed bytes end too early"));
            }
        }
    }

    fn ready_context(&mut self) -> Result<&mut DCtx<'static>, RecordError> {
        if self.context.is_none() {
            let mut context =
                DCtx::try_create().ok_or_else(|| broken(CODEC, "no memory for a context"))?;
            context
                .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
                .map_err(fault)?;
            self.context = Some(context);
        }
        let context = self
            .context
            .as_mut()
            .ok_or_else(|| broken(CODEC, "no context"))?;
        context.reset(ResetDirective::SessionOnly).map_err(fault)?;
        Ok(context)
    }
}

/// Room to start with: with room for the whole frame zstd needs no window of its own.
fn first_room(compressed: &[u8]) -> usize {
    let believed = compressed.len().saturating_mul(BELIEVED_PER_BYTE);
    match get_frame_content_size(compressed) {
        Ok(Some(stated)) if stated <= believed as u64 => stated as usize,
        _ => compressed.len().saturating_mul(4).clamp(4096, 1 << 20),
    }
}

fn fault(code: ErrorCode) -> RecordError {
    broken(CODEC, get_error_name(code))
}

#[derive(Default)]
pub struct Encoder {
    context: Option<CCtx<'static>>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("zstd::Encoder")
    }
}

impl Encoder {
    pub fn encode(
        &mut self,
        level: Option<i32>,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let refuse = |code: ErrorCode| refused(CODEC, get_error_name(code));
        let context = match &mut self.context {
            Some(context) => context,
            empty => {
                let created = CCtx::try_create();
                empty.insert(created.ok_or_else(|| refused(CODEC, "no memory for a context"))?)
            }
        };
        context.reset(ResetDirective::SessionOnly).map_err(refuse)?;
        let level = CParameter::CompressionLevel(level.unwrap_or(DEFAULT_LEVEL));
        context.set_parameter(level).map_err(refuse)?;

        let start = out.len();
        out.resize(start + compress_bound(plain.len()), 0);
        let written = context
            .compress2(&mut out[start..], plain)
            .map_err(refuse)?;
        out.truncate(start + written);
        Ok(())
    }
}
