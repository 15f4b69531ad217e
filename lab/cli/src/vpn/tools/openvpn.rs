//! OpenVPN: `TUNSETIFF` without packet information, `poll`, descriptors that do not block.

use std::path::Path;

use super::Tool;
use crate::vpn::plan::{HOST, Keys, Plan, Side};
use crate::vpn::process::{self, Launch};
use haiku_stack::Error;
use haiku_system::Mode;

pub(super) struct OpenVpn;

impl Tool for OpenVpn {
    fn name(&self) -> &'static str {
        "openvpn"
    }

    fn package(&self) -> &'static str {
        "openvpn"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["openvpn", "openssl"]
    }

    fn supports(&self, _: Mode) -> Result<(), &'static str> {
        Ok(())
    }

    fn prepare(&self, plan: &Plan) -> Result<(), Error> {
        match plan.keys {
            Keys::Static => {
                let key = plan.folder.join("static.key");
                process::run(&Launch::new(
                    program(),
                    ["--genkey", "secret"].map(Into::into).into_iter().chain([key.into_os_string()]),
                ))
            }
            Keys::Tls => {
                authority(&plan.folder)?;
                for side in Side::ALL {
                    certificate(&plan.folder, side)?;
                }
                Ok(())
            }
        }
    }

    fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error> {
        let (port, peer_port) = (plan.port(side), plan.port(side.other()));
        let script = plan.up_script(side)?;
        let mut words: Vec<String> = format!(
            "--dev {}0 --dev-type {} --proto udp --local {HOST} --lport {port} --remote {HOST} {peer_port} \
             --ifconfig-noexec --route-noexec --disable-dco --script-security 2 --persist-tun --persist-key \
             --keepalive 3 10 --verb 3 --float --sndbuf 212992 --rcvbuf 212992 --up",
            plan.mode, plan.mode
        )
        .split_whitespace()
        .map(str::to_owned)
        .collect();
        words.push(script.display().to_string());
        match plan.keys {
            Keys::Static => {
                words.extend(["--secret", "static.key", "--cipher", "AES-256-CBC"].map(str::to_owned));
            }
            Keys::Tls => {
                let role = match side {
                    Side::Server => "--tls-server",
                    Side::Client => "--tls-client",
                };
                words.extend([role, "--dh", "none", "--ca", "ca.crt"].map(str::to_owned));
                words.extend(["--cert".to_owned(), format!("{side}.crt"), "--key".to_owned(), format!("{side}.key")]);
                words.extend(["--remote-cert-tls".to_owned(), side.other().name().to_owned()]);
            }
        }
        Ok(Launch::new(program(), words))
    }
}

fn program() -> std::path::PathBuf {
    process::find("openvpn").unwrap_or_else(|| "openvpn".into())
}

fn openssl(folder: &Path, line: &str) -> Result<(), Error> {
    let words = line.split_whitespace().map(|word| match word.strip_prefix('@') {
        Some(file) => folder.join(file).display().to_string(),
        None => word.to_owned(),
    });
    process::run(&Launch::new(process::find("openssl").unwrap_or_else(|| "openssl".into()), words))
}

/// A new elliptic-curve key without a password.
const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// Makes a certificate authority for two days.
fn authority(folder: &Path) -> Result<(), Error> {
    openssl(folder, &format!("req -x509 {NEW_KEY} -keyout @ca.key -out @ca.crt -days 2 -subj /CN=haiku-lab"))
}

/// Has it sign a side's certificate.
fn certificate(folder: &Path, side: Side) -> Result<(), Error> {
    openssl(
        folder,
        &format!(
            "req -x509 {NEW_KEY} -CA @ca.crt -CAkey @ca.key -keyout @{side}.key -out @{side}.crt -days 2 \
             -subj /CN={side} -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage={side}Auth \
             -addext keyUsage=digitalSignature"
        ),
    )
}
