//! The stand-in for authentik against what real servers answered: every recorded request is sent to it, in the order of the
//! recording, and its answers are compared. Then what no recording asks.

mod compare;
mod features;
mod recording;
mod replay;
mod room;
mod surprises;
