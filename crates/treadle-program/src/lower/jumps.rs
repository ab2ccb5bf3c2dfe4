//! Leaving blocks early: what `return`, `break` and `continue` pass on their way out, and `finally` blocks.

use ruff_python_ast::Stmt;
use smallvec::SmallVec;
use treadle_finding::Span;

use super::builder::Builder;
use crate::facts::{NodeId, NodeKind, RegionId, RegionKind, TryId};

/// A block around the current statement that a jump must pass.
pub(super) enum Frame {
    Loop {
        head: NodeId,
        breaks: Vec<NodeId>,
    },
    With {
        region: RegionId,
        raises: NodeId,
    },
    Finally {
        /// Where exceptions enter.
        raising: NodeId,
        /// Where jumps enter, by kind.
        jumping: SmallVec<[(Jump, NodeId); 2]>,
    },
}

/// A way out of blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    Return,
    Break,
    Continue,
}

/// Some hundreds of statements: far above what people write into a `finally`.
const LARGEST_COPY: u32 = 4096;

impl<'a> Builder<'a> {
    /// Control leaves from the current node; what follows is unreachable.
    pub(super) fn jump(&mut self, jump: Jump) {
        let mut index = self.frames.len();
        while index > 0 {
            index -= 1;
            match &mut self.frames[index] {
                Frame::With { region, raises } => {
                    let (region, raises) = (*region, *raises);
                    let inner = std::mem::replace(&mut self.raises, raises);
                    self.add(NodeKind::Leave(region));
                    self.raises = inner;
                }
                Frame::Finally { jumping, .. } => {
                    let known = jumping.iter().find(|(kind, _)| *kind == jump).map(|(_, entry)| *entry);
                    let entry = known.unwrap_or_else(|| {
                        let entry = self.detached(NodeKind::Join);
                        if let Frame::Finally { jumping, .. } = &mut self.frames[index] {
                            jumping.push((jump, entry));
                        }
                        entry
                    });
                    self.edge(self.here, entry);
                    self.dead_end();
                    return;
                }
                Frame::Loop { head, breaks } if jump != Jump::Return => {
                    let head = *head;
                    if jump == Jump::Break {
                        breaks.push(self.here);
                    } else {
                        self.edge(self.here, head);
                    }
                    self.dead_end();
                    return;
                }
                Frame::Loop { .. } => {}
            }
        }
        let exit = self.exit;
        self.edge(self.here, exit);
        self.dead_end();
    }

    /// Walks `job` with a `finally` block waiting around it, then the block once for each way that leads into it.
    pub(super) fn with_finally(
        &mut self,
        try_: TryId,
        body: &'a [Stmt],
        span: Span,
        job: impl FnOnce(&mut Self),
    ) -> RegionId {
        let raising = self.detached(NodeKind::Join);
        let outer = std::mem::replace(&mut self.raises, raising);
        self.frames.push(Frame::Finally { raising, jumping: SmallVec::new() });
        job(self);
        self.raises = outer;
        let Some(Frame::Finally { raising, jumping }) = self.frames.pop() else { return self.region };

        let region = self.inner_region(RegionKind::Finally(try_), span);
        let falls_through = self.is_reachable();
        let normal = self.here;
        // The first way in walks the statements; the others copy the nodes.
        let first = if falls_through { normal } else { raising };
        let entry = self.detached(NodeKind::Join);
        self.edge(first, entry);
        self.here = entry;
        let start = entry;
        self.within(region, |builder| builder.statements(body));
        let end = NodeId(self.facts.nodes.len() as u32);
        let last = self.here;

        let mut after = None;
        if falls_through {
            after = Some(last);
            let copied = self.copy_block(start, end, raising, last);
            self.edge(copied, outer);
        }
        for (jump, entry) in jumping {
            self.here = self.copy_block(start, end, entry, last);
            self.jump(jump);
        }
        if !falls_through {
            // Only now, or the copies would go on with the exception too.
            self.edge(last, outer);
        }
        match after {
            Some(node) => self.here = node,
            None => self.dead_end(),
        }
        region
    }

    /// Copies nodes `start..end`, entered from `from`; where the copy of `last` is.
    ///
    /// A block of more than [`LARGEST_COPY`] nodes is entered itself: `finally` within `finally` would double the graph at
    /// each level. Its ways then join, and a rule may see one that is none.
    fn copy_block(&mut self, start: NodeId, end: NodeId, from: NodeId, last: NodeId) -> NodeId {
        if end.0 - start.0 > LARGEST_COPY {
            self.edge(from, start);
            return last;
        }
        let shift = self.facts.nodes.len() as u32 - start.0;
        let inside = |node: NodeId| start <= node && node < end;
        let moved = |node: NodeId| if inside(node) { NodeId(node.0 + shift) } else { node };
        for id in start.0..end.0 {
            let mut node = self.facts.nodes[id as usize].clone();
            node.raises = node.raises.map(moved);
            let successors = self.successors_of(NodeId(id)).iter().copied().map(moved).collect();
            self.facts.nodes.push(node);
            self.successors.push(successors);
            self.entered.push(true);
        }
        let mut entries = Vec::new();
        for frame in &mut self.frames {
            match frame {
                Frame::Loop { breaks, .. } => {
                    let copied: Vec<NodeId> = breaks.iter().copied().filter(|node| inside(*node)).map(moved).collect();
                    breaks.extend(copied);
                }
                // A jump from within the block made the entry; the copy of the jump enters there too.
                Frame::Finally { jumping, .. } => {
                    entries.extend(jumping.iter().map(|(_, entry)| *entry).filter(|entry| inside(*entry)));
                }
                Frame::With { .. } => {}
            }
        }
        for entry in entries {
            self.edge(moved(entry), entry);
        }
        self.edge(from, moved(start));
        moved(last)
    }
}
