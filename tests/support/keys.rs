//! Keys of age, made and used by the library that the program has as well; tests with the real `age` are behind `agreement`.

use std::fs;
use std::io::{Read, Write};
use std::iter;
use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret, SecretString};
use age::{Decryptor, Encryptor, scrypt, x25519};

use super::Sandbox;

/// The file of the identity that belongs to [`encrypting`].
pub const IDENTITY: &str = "key.txt";
const RECIPIENTS: &str = "recipients.txt";

/// Makes an identity in a new file; returns its recipient.
pub fn new_key(path: &Path) -> String {
    let identity = x25519::Identity::generate();
    let text = format!("# a key\n{}\n", identity.to_string().expose_secret());
    fs::write(path, text).expect("the identity");
    identity.to_public().to_string()
}

/// From now on the sandbox's backups are encrypted to one recipient, as its configuration says; the identity lies in
/// [`IDENTITY`], of which the program knows nothing.
pub fn encrypting(sandbox: &Sandbox) -> PathBuf {
    let identity = sandbox.path(IDENTITY);
    let recipient = new_key(&identity);
    fs::write(sandbox.path(RECIPIENTS), recipient).expect("recipients");
    let line = format!("recipients_file = \"{RECIPIENTS}\"\n");
    fs::write(sandbox.path("safestep.toml"), line).expect("safestep.toml");
    identity
}

/// What an encrypted file holds.
pub fn decrypted(path: &Path, identity: &Path) -> Vec<u8> {
    let text = fs::read_to_string(identity).expect("the identity");
    let line = text.lines().last().expect("a line");
    let identity: x25519::Identity = line.parse().expect("an identity");
    open(path, &identity)
}

/// As [`decrypted`], with a passphrase.
pub fn decrypted_with(path: &Path, passphrase: &str) -> Vec<u8> {
    open(path, &scrypt::Identity::new(SecretString::from(passphrase)))
}

fn open(path: &Path, identity: &dyn age::Identity) -> Vec<u8> {
    let bytes = fs::read(path).expect("the file");
    let decryptor = Decryptor::new(&bytes[..]).expect("a header");
    let mut plain = Vec::new();
    decryptor
        .decrypt(iter::once(identity))
        .expect("the key fits")
        .read_to_end(&mut plain)
        .expect("all of it is authentic");
    plain
}

/// An age file of these bytes, as anybody who has the recipient's name may make one.
pub fn encrypted(plain: &[u8], recipient: &str) -> Vec<u8> {
    let recipient: x25519::Recipient = recipient.parse().expect("a recipient");
    seal(plain, &recipient)
}

/// As [`encrypted`], with a passphrase that costs 2^`work_factor`.
pub fn encrypted_with(plain: &[u8], passphrase: &str, work_factor: u8) -> Vec<u8> {
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase));
    recipient.set_work_factor(work_factor);
    seal(plain, &recipient)
}

fn seal(plain: &[u8], recipient: &dyn age::Recipient) -> Vec<u8> {
    let encryptor = Encryptor::with_recipients(iter::once(recipient)).expect("an encryptor");
    let mut writer = encryptor.wrap_output(Vec::new()).expect("a header");
    writer.write_all(plain).expect("written");
    writer.finish().expect("the end")
}
