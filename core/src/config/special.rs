//! Checks of single parameters without effect whose values have a form of their own. Each turns the words
//! into the text that CONFIG GET prints.

use super::value;

/// One word: bytes or a percentage of `maxmemory`.
pub(super) fn memory_or_percent(args: &[&str]) -> Result<String, String> {
    value::memory_or_percent(args[0])
}

/// Pairs of seconds and changes.
pub(super) fn save(args: &[&str]) -> Result<Vec<(u64, u64)>, String> {
    let wrong = || String::from("Invalid save parameters");
    if !args.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let pair = |pair: &[&str]| {
        let seconds = pair[0].parse::<i64>().ok().and_then(|seconds| u64::try_from(seconds).ok());
        let changes = pair[1].parse::<i32>().ok().and_then(|changes| u64::try_from(changes).ok());
        seconds.filter(|seconds| *seconds > 0).zip(changes).ok_or_else(wrong)
    };
    args.chunks_exact(2).map(pair).collect()
}

/// The same, printed.
pub(super) fn print_save(points: &[(u64, u64)]) -> String {
    let words: Vec<String> = points.iter().map(|(seconds, changes)| format!("{seconds} {changes}")).collect();
    words.join(" ")
}

/// Classes of keyspace events. `A` stands for most of them; they are printed in Redis's order. Unlike Redis
/// 7.0, `n` is printed beside `A` too.
pub(super) fn keyspace_events(args: &[&str]) -> Result<String, String> {
    const ALL: &str = "g$lshzxetd";
    const PRINTED: &str = "g$lshzxetdnKEm";
    let text = args[0];
    if !text.chars().all(|class| class == 'A' || PRINTED.contains(class)) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into());
    }
    let all = text.contains('A') || ALL.chars().all(|class| text.contains(class));
    let rest = PRINTED.chars().filter(|class| text.contains(*class) && !(all && ALL.contains(*class)));
    Ok(all.then_some('A').into_iter().chain(rest).collect())
}

/// Three scores from -2000 to 2000.
pub(super) fn oom_scores(args: &[&str]) -> Result<String, String> {
    if args.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    let mut words = Vec::with_capacity(3);
    for text in args {
        match text.parse::<i32>() {
            Ok(score) if (-2_000..=2_000).contains(&score) => words.push(score.to_string()),
            _ => {
                return Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into());
            }
        }
    }
    Ok(words.join(" "))
}

/// Any of some words, printed in their order; `default` is none of the others.
pub(super) fn shutdown_options(args: &[&str]) -> Result<String, String> {
    const NAMES: [&str; 5] = ["default", "save", "nosave", "now", "force"];
    let known = |text: &&str| NAMES.iter().any(|name| name.eq_ignore_ascii_case(text));
    if args.is_empty() || !args.iter().all(known) {
        return Err(value::one_of(NAMES.into_iter()));
    }
    let given = |name: &str| args.iter().any(|text| name.eq_ignore_ascii_case(text));
    if given("save") && given("nosave") {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    let words: Vec<&str> = NAMES[1..].iter().copied().filter(|name| given(name)).collect();
    Ok(if words.is_empty() { "default".into() } else { words.join(" ") })
}

/// Host and port of a master, or `no one`.
pub(super) fn replica_of(args: &[&str]) -> Result<String, String> {
    let [host, port] = args else { return Err("wrong number of arguments".into()) };
    if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
        return Ok(String::new());
    }
    let port: u16 = port.parse().map_err(|_| "Invalid master port")?;
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("Invalid master host".into());
    }
    Ok(format!("{host} {port}"))
}

/// Text with known names in braces; `{{` is a brace.
pub(super) fn title_template(args: &[&str]) -> Result<String, String> {
    const NAMES: [&str; 7] =
        ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    let wrong = || String::from("template format is invalid or contains unknown variables");
    let text = args[0];
    if text.is_empty() {
        return Err(wrong());
    }
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('{') {
        rest = match behind.strip_prefix('{') {
            Some(behind) => behind,
            None => {
                let (name, behind) = behind.split_once('}').ok_or_else(wrong)?;
                if !NAMES.contains(&name) {
                    return Err(wrong());
                }
                behind
            }
        };
    }
    Ok(text.into())
}

/// A file's name without a path.
pub(super) fn append_file(args: &[&str]) -> Result<String, String> {
    if args[0].is_empty() {
        return Err("appendfilename can't be empty".into());
    }
    no_path(args[0], "appendfilename can't be a path, just a filename")
}

/// A directory's name without a path.
pub(super) fn append_directory(args: &[&str]) -> Result<String, String> {
    if args[0].is_empty() {
        return Err("appenddirname can't be empty".into());
    }
    no_path(args[0], "appenddirname can't be a path, just a dirname")
}

/// A file's name without a path; may be empty.
pub(super) fn dump_file(args: &[&str]) -> Result<String, String> {
    no_path(args[0], "dbfilename can't be a path, just a filename")
}

fn no_path(name: &str, wrong: &str) -> Result<String, String> {
    if name.contains('/') || name.contains('\\') {
        return Err(wrong.into());
    }
    Ok(name.into())
}

/// Letters, digits, hyphens and dots.
pub(super) fn host_name(args: &[&str]) -> Result<String, String> {
    // The room of the cluster bus.
    const HOST_NAME_MAX: usize = 255;
    let name = args[0];
    if name.len() > HOST_NAME_MAX {
        return Err("Hostnames must be less than 256 characters".into());
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        return Err("Hostnames may only contain alphanumeric characters, hyphens or dots".into());
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    /// Sets `name` and prints it or the reason why not.
    fn check(name: &str, table: &[(&str, Result<&str, &str>)]) {
        for (text, expected) in table {
            let mut settings = Settings::default();
            let found = settings.set(name, &[text]).map(|()| settings.get(name).unwrap());
            match expected {
                Ok(value) => assert_eq!(found.as_deref(), Ok(*value), "{name} {text:?}"),
                Err(reason) => assert_eq!(found.unwrap_err().to_string(), *reason, "{name} {text:?}"),
            }
        }
    }

    #[test]
    fn words_are_those_of_redis() {
        let save = Err("Invalid save parameters");
        check(
            "save",
            &[
                ("3600 1", Ok("3600 1")),
                ("3600 1 300 100", Ok("3600 1 300 100")),
                ("", Ok("")),
                ("1 0", Ok("1 0")),
                ("+1 1", Ok("1 1")),
                ("99999999999999 1", Ok("99999999999999 1")),
                ("\"\"", save),
                ("3600", save),
                ("0 1", save),
                ("-1 1", save),
                ("x 1", save),
                ("1 x", save),
                ("1 -1", save),
                ("1 1x", save),
                ("1 1  2 2", save),
                (" 1 1", save),
            ],
        );
        let events = Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        check(
            "notify-keyspace-events",
            &[
                ("KEA", Ok("AKE")),
                ("Kg$lshzxetdm", Ok("AKm")),
                ("Elg", Ok("glE")),
                ("g$lshzxetd", Ok("A")),
                ("Km", Ok("Km")),
                ("En", Ok("nE")),
                ("Emn", Ok("nEm")),
                ("nmA", Ok("Anm")),
                ("", Ok("")),
                ("abc", events),
                ("\"\"", events),
            ],
        );
        let (count, range) = (
            Err("wrong number of arguments"),
            Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000."),
        );
        check(
            "oom-score-adj-values",
            &[
                ("3 2 1", Ok("3 2 1")),
                ("-2000 0 2000", Ok("-2000 0 2000")),
                ("+1 2 3", Ok("1 2 3")),
                ("-2001 0 0", range),
                ("0 0 2001", range),
                ("x 1 2", range),
                ("9999999999 1 2", range),
                ("1 2", count),
                ("1 2 3 4", count),
                ("0  200 800", count),
                ("", count),
            ],
        );
        let options = Err("argument(s) must be one of the following: default, save, nosave, now, force");
        check(
            "shutdown-on-sigint",
            &[
                ("now save", Ok("save now")),
                ("default save", Ok("save")),
                ("force nosave NOW", Ok("nosave now force")),
                ("default", Ok("default")),
                ("save nosave", Err("shutdown options SAVE and NOSAVE can't be used simultaneously")),
                ("now  force", options),
                ("", options),
            ],
        );
        check(
            "replicaof",
            &[
                ("no one", Ok("")),
                ("127.0.0.1 6379", Ok("127.0.0.1 6379")),
                ("127.0.0.1 99999", Err("Invalid master port")),
                ("127.0.0.1 x", Err("Invalid master port")),
                ("127.0.0.1", count),
            ],
        );
        let template = Err("template format is invalid or contains unknown variables");
        check(
            "proc-title-template",
            &[
                ("x {title} {config-file} {port}", Ok("x {title} {config-file} {port}")),
                ("{{x", Ok("{{x")),
                ("", template),
                ("{}", template),
                ("{foo}", template),
                ("{title", template),
            ],
        );
    }

    #[test]
    fn names_of_files_and_hosts() {
        check(
            "appendfilename",
            &[
                ("a", Ok("a")),
                ("", Err("appendfilename can't be empty")),
                ("a/b", Err("appendfilename can't be a path, just a filename")),
            ],
        );
        check(
            "appenddirname",
            &[
                ("", Err("appenddirname can't be empty")),
                ("a/b", Err("appenddirname can't be a path, just a dirname")),
            ],
        );
        check("dbfilename", &[("", Ok("")), ("a/b", Err("dbfilename can't be a path, just a filename"))]);
        let (longest, too_long) = ("a".repeat(255), "a".repeat(256));
        check(
            "cluster-announce-hostname",
            &[
                ("a-1.b", Ok("a-1.b")),
                (&longest, Ok(&longest)),
                (&too_long, Err("Hostnames must be less than 256 characters")),
                ("@", Err("Hostnames may only contain alphanumeric characters, hyphens or dots")),
            ],
        );
    }
}
