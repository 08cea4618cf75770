//! A node's reports: statistics as a file, events as lines on standard output.

use std::{io, path::Path};

use serde::Serialize;

use crate::{
    console::{self, Patience},
    error::NodeError,
    memory, optional,
};
use tessera_plan::files::{
    events::Event,
    statistics::{Process, Role},
};
use tessera_runtime::program::Program;

/// The identity of this process and the memory that it takes now.
pub fn process(role: Role, id: u16, program: &Program) -> Process {
    Process {
        role,
        id,
        program: program.name.into(),
        pid: std::process::id(),
        memory: memory::now(),
    }
}

/// Formats `value` as one line of JSON, with the keys in alphabetical order.
///
/// # Errors
/// When a value has no form in JSON.
pub fn json_line(value: &impl Serialize) -> io::Result<String> {
    Ok(format!("{}\n", serde_json::to_value(value)?))
}

/// Checks, before a node begins its work, that the statistics file is writable.
///
/// # Errors
/// When the file is not writable.
pub fn check(path: Option<&Path>) -> Result<(), NodeError> {
    path.map_or(Ok(()), |path| {
        optional::check(path).map_err(NodeError::io(format!("--stats {}", path.display())))
    })
}

/// Writes statistics as one line of JSON, a regular file whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, statistics: &impl Serialize) -> Result<(), NodeError> {
    json_line(statistics)
        .and_then(|line| optional::write(path, line.as_bytes()))
        .map_err(NodeError::io(format!(
            "cannot write statistics to {}",
            path.display()
        )))
}

/// Prints an event to standard output, as one line of JSON. The line is lost if nobody reads it.
pub fn tell(event: &Event) {
    if let Ok(line) = json_line(event) {
        let _ = console::out(&line, Patience::None);
    }
}

/// Prints like [`tell`], but waits until the line is read: a person asked for it.
pub fn answer(event: &impl Serialize) {
    if let Ok(line) = json_line(event) {
        let _ = console::out(&line, Patience::Endless);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;
    use tessera_plan::files::{
        counters::FrameRun,
        records::{ClassScore, Detection, DropReason, Ending, Found, Record, Subject, Timing},
        statistics::{
            EdgeStatistics, EndedFrame, GatewayStatistics, SocketCounters, SoloStatistics,
            TaskWork, Worker,
        },
    };
    use tessera_protocol::{NodeId, Traffic};

    use super::*;

    /// Checks the text of `value`, and that it is read as it was.
    fn check<T: Serialize + DeserializeOwned + Debug + PartialEq>(value: &T, text: &str) {
        let line = json_line(value).unwrap();
        assert_eq!(line.trim_end(), text);
        assert_eq!(&serde_json::from_str::<T>(&line).unwrap(), value);
    }

    fn record(epoch: Option<u64>, file: Option<&str>, ending: Ending) -> Record {
        Record {
            subject: Subject {
                source: 1,
                epoch,
                frame: 2,
                tag: 3,
                source_name: epoch.map(|_| "front".into()),
                file: file.map(Into::into),
                wrong: None,
            },
            timing: epoch.map(|_| Timing {
                captured_unix_ms: 1_764_354_164_123,
                started_unix_ms: 1_764_354_164_130,
                ended_unix_ms: 1_764_354_164_935,
                latency_ms: 812.5,
            }),
            width: 640,
            height: 480,
            ending,
        }
    }

    #[test]
    fn records_have_the_form_that_their_readers_know() {
        let dog = Detection {
            class: 16,
            label: Some("dog".into()),
            score: 0.9,
            objectness: 0.5,
            bbox: [0.5, 0.25, 0.125, 1.0],
            box_px: [-1, 2, 80, 480],
        };
        let found = Found {
            detections: vec![dog],
            top: None,
        };
        check(
            &record(Some(7), None, Ending::Computed(found)),
            r#"{"captured_unix_ms":1764354164123,"detections":[{"box":[0.5,0.25,0.125,1.0],"box_px":[-1,2,80,480],"class":16,"label":"dog","objectness":0.5,"score":0.8999999761581421}],"ended_unix_ms":1764354164935,"epoch":7,"frame":2,"height":480,"latency_ms":812.5,"source":1,"source_name":"front","started_unix_ms":1764354164130,"tag":3,"width":640}"#,
        );
        let best = ClassScore {
            class: 4,
            label: None,
            score: 2.5,
        };
        let found = Found {
            detections: vec![],
            top: Some(vec![best]),
        };
        check(
            &record(None, Some("a.png"), Ending::Computed(found)),
            r#"{"detections":[],"file":"a.png","frame":2,"height":480,"source":1,"tag":3,"top":[{"class":4,"score":2.5}],"width":640}"#,
        );
        for (dropped, text) in [
            (DropReason::SourceLost, "its source was lost"),
            (DropReason::TaskFailed, "a task failed on every attempt"),
            (DropReason::TailFailed, "the tail failed"),
        ] {
            check(
                &record(Some(7), None, Ending::Dropped { dropped }),
                &format!(
                    r#"{{"captured_unix_ms":1764354164123,"dropped":"{text}","ended_unix_ms":1764354164935,"epoch":7,"frame":2,"height":480,"latency_ms":812.5,"source":1,"source_name":"front","started_unix_ms":1764354164130,"tag":3,"width":640}}"#
                ),
            );
        }
    }

    #[test]
    fn numbers_that_json_lacks_are_read_as_nan() {
        let endless = Found {
            detections: vec![],
            top: Some(vec![ClassScore {
                class: 0,
                label: None,
                score: f32::INFINITY,
            }]),
        };
        let line = json_line(&record(None, None, Ending::Computed(endless))).unwrap();
        let back: Record = serde_json::from_str(&line).unwrap();
        let Ending::Computed(Found { top: Some(top), .. }) = back.ending else {
            panic!("{back:?}");
        };
        assert!(top[0].score.is_nan());
        assert!(serde_json::from_str::<Record>(&line.replace("null", r#""x""#)).is_err());
    }

    fn a_process(role: Role, id: u16) -> Process {
        Process {
            role,
            id,
            program: "demo".into(),
            pid: 77,
            memory: Default::default(),
        }
    }

    /// A node writes what its machine counts; others read it without the machine's tables.
    #[test]
    fn an_edges_statistics_are_read_by_name() {
        let mut written = EdgeStatistics::<Traffic, NodeId> {
            process: a_process(Role::Edge, 2),
            counters: Default::default(),
            frames: Default::default(),
            slots: Default::default(),
            socket: Default::default(),
            sessions: None,
            workers: vec![Worker {
                worker: 0,
                jobs: 9,
                ..Worker::default()
            }],
            tasks: vec![TaskWork {
                task: 3,
                jobs: 9,
                busy_us: 4000,
            }],
            board_peak_bytes: 1 << 20,
        };
        written.counters.tasks_by_node.insert(NodeId(12), 5);
        written.counters.last_frames.push(FrameRun {
            frame: 7,
            makers: vec![NodeId(2), NodeId(12)],
            stage_us: vec![40],
        });
        written.socket.counters = SocketCounters {
            bytes_sent: 4096,
            ..SocketCounters::default()
        };
        written.frames.each.push(EndedFrame {
            frame: 1,
            tag: 2,
            latency_us: 3,
            dropped: true,
        });
        let line = json_line(&written).unwrap();
        let read: EdgeStatistics = serde_json::from_str(&line).unwrap();
        assert_eq!(read.process, written.process);
        assert_eq!(read.counters.tasks_by_node[&12], 5);
        assert_eq!(read.counters.last_frames[0].makers, [2, 12]);
        assert_eq!(read.socket, written.socket);
        assert_eq!(
            (&read.frames, &read.workers, &read.tasks),
            (&written.frames, &written.workers, &written.tasks)
        );
        assert_eq!(json_line(&read).unwrap(), line);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        let expected = [
            "board_peak_bytes",
            "counters",
            "frames",
            "id",
            "memory",
            "pid",
            "program",
            "role",
            "slots",
            "socket",
            "tasks",
            "workers",
        ];
        assert_eq!(keys, expected);
        assert_eq!(value["role"], "edge");
        assert_eq!(value["socket"]["bytes_sent"], 4096);
        assert_eq!(value["socket"]["kernel_drops"], serde_json::Value::Null);
    }

    #[test]
    fn other_roles_statistics_are_read_too() {
        let gateway = GatewayStatistics::<Traffic> {
            process: a_process(Role::Gateway, 0),
            counters: Default::default(),
            frames: Default::default(),
            slots: Default::default(),
            socket: Default::default(),
            sessions: Some(Default::default()),
            observed: None,
        };
        let line = json_line(&gateway).unwrap();
        let read: GatewayStatistics = serde_json::from_str(&line).unwrap();
        assert_eq!(json_line(&read).unwrap(), line);
        check(
            &SoloStatistics {
                role: Role::Solo,
                pid: 5,
                memory: Default::default(),
                frames: 3,
            },
            r#"{"frames":3,"memory":{"anonymous_bytes":0,"file_bytes":0,"peak_bytes":0,"shared_bytes":0},"pid":5,"role":"solo"}"#,
        );
    }
}
