//! Drivers and /dev: nodes that come and go, opens, closes, reads, writes and ioctls.

mod common;

use common::toy::{self, TOY_NOTHING, TOY_SEVEN, events, names, rescan, start};
use common::{Program, boot};
use haiku_kernel::devfs::{self, Entry, NodeKind};
use haiku_kernel::syscalls::{self, F_DUPFD, F_GETFL, F_SETFL};
use haiku_kernel::{AddOn, Exports, Fault, FaultPlan, fault, thread, user};
use haiku_sys::*;

#[test]
fn nodes_are_published_in_directories_that_are_made_for_them() {
    let kernel = start(&["toy/1", "toy/0", "misc/deep/er"]);
    assert_eq!(
        devfs::list("").unwrap(),
        [("misc", NodeKind::Directory), ("toy", NodeKind::Directory)]
            .map(|(name, kind)| Entry { name: name.to_owned(), kind })
    );
    assert_eq!(names("toy"), ["0", "1"]);
    assert_eq!(devfs::devices(), ["misc/deep/er", "toy/0", "toy/1"]);
    assert_eq!(devfs::list("toy/0"), Err(devfs::B_NOT_A_DIRECTORY));
    assert_eq!(devfs::list("nothing"), Err(B_ENTRY_NOT_FOUND));
    assert_eq!(kernel.ledgers().nodes, 3);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_node_and_a_directory_of_one_name_cannot_both_be() {
    let kernel = start(&["toy", "toy/0", "other/0", "other", "other/0"]);
    assert_eq!(devfs::devices(), ["other/0", "toy"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn names_that_are_no_paths_are_not_published() {
    let kernel = start(&["/dev/toy", "toy"]);
    assert_eq!(devfs::devices(), ["toy"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_life_of_a_driver() {
    let kernel = boot();
    kernel.install("toy", toy::exports(&["toy"])).unwrap();
    assert_eq!(events(), ["init"]);
    assert_eq!(kernel.ledgers().images, 1);
    assert!(kernel.shutdown().is_zero());
    assert_eq!(events(), ["uninit"]);
}

#[test]
fn drivers_that_cannot_be_loaded_are_refused() {
    let kernel = boot();
    let good = toy::exports(&["toy"]);
    let cases = [
        (Exports { api_version: Some(3), ..good }, B_BAD_VALUE, "devfs: \"bad\" api_version 3 not handled"),
        (Exports { api_version: Some(0), ..good }, B_BAD_VALUE, "devfs: \"bad\" api_version invalid"),
        (Exports { find_device: None, ..good }, B_BAD_VALUE, "devfs: \"bad\" mandatory driver symbol(s) missing!"),
        (
            Exports { api_version: None, publish_devices: None, ..good },
            B_BAD_VALUE,
            "devfs: \"bad\" api_version missing",
        ),
    ];
    drop(kernel);
    for (exports, error, line) in cases {
        let kernel = boot();
        assert_eq!(kernel.install("bad", exports), Err(error));
        assert!(haiku_kernel::log::lines().contains(&line.to_owned()), "{line}");
        assert!(kernel.shutdown().is_zero());
    }
}

#[test]
fn a_failed_init_driver_unloads() {
    let kernel = boot();
    let exports = toy::exports(&["toy"]);
    toy::toy().init_status = B_NO_MEMORY;
    assert_eq!(kernel.install("toy", exports), Err(ENXIO));
    assert_eq!(devfs::devices(), Vec::<String>::new());
    assert_eq!(kernel.ledgers().images, 0);
    // A rescan tries again.
    toy::toy().init_status = B_OK;
    assert_eq!(rescan(&["toy"]), B_OK);
    assert_eq!(devfs::devices(), ["toy"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_driver_that_publishes_nothing_is_unloaded_and_can_be_rescanned() {
    let kernel = boot();
    kernel.install("toy", toy::exports(&[])).unwrap();
    assert_eq!(events(), ["init", "uninit"]);
    assert_eq!(rescan(&["toy"]), B_OK);
    assert_eq!((devfs::devices(), events()), (vec!["toy".to_owned()], vec!["init".to_owned()]));
    assert_eq!(rescan(&[]), B_OK);
    assert_eq!(events(), ["uninit"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_rescan_publishes_what_is_new_and_takes_away_what_is_gone() {
    let kernel = start(&["toy/0", "toy/1"]);
    assert_eq!(rescan(&["toy/1", "toy/2"]), B_OK);
    assert_eq!(names("toy"), ["1", "2"]);
    // A node that the driver still names stays, even if it is not found any longer.
    toy::toy().hooks_missing = true;
    assert_eq!(rescan(&["toy/2", "toy/3"]), B_OK);
    assert_eq!(names("toy"), ["2"]);
    toy::toy().hooks_missing = false;
    assert_eq!(rescan(&["toy/2", "toy/3"]), B_OK);
    assert_eq!(names("toy"), ["2", "3"]);
    // SAFETY: a C string.
    assert_eq!(unsafe { devfs_rescan_driver(c"other".as_ptr()) }, B_ENTRY_NOT_FOUND);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn directories_stay_when_their_nodes_go() {
    let kernel = start(&["a/0", "b"]);
    rescan(&["b"]);
    assert_eq!(names(""), ["a", "b"]);
    assert_eq!(names("a"), Vec::<String>::new());
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_nth_publication_fails_and_the_next_rescan_makes_up_for_it() {
    let kernel = start(&["toy/0"]);
    fault::arm(FaultPlan::Nth(Fault::PublishNode, 1));
    assert_eq!(rescan(&["toy/0", "toy/1", "toy/2"]), B_OK);
    assert_eq!(names("toy"), ["0", "2"]);
    assert_eq!(rescan(&["toy/0", "toy/1", "toy/2"]), B_OK);
    assert_eq!(names("toy"), ["0", "1", "2"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn open_close_and_free_are_called_in_turn() {
    let kernel = start(&["toy/0"]);
    let fd = syscalls::open("/dev/toy/0", O_RDWR | O_NONBLOCK).unwrap();
    assert_eq!(kernel.ledgers().cookies, 1);
    syscalls::close(fd).unwrap();
    assert_eq!(events(), ["open toy/0 0x82", "close toy/0", "free toy/0"]);
    assert_eq!(syscalls::close(fd), Err(B_FILE_ERROR));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn what_cannot_be_opened() {
    let kernel = start(&["toy/0"]);
    assert_eq!(syscalls::open("/dev/toy/1", O_RDWR), Err(B_ENTRY_NOT_FOUND));
    assert_eq!(syscalls::open("/dev/toy", O_RDWR), Err(devfs::B_IS_A_DIRECTORY));
    assert_eq!(syscalls::open("/dev/toy/0/x", O_RDWR), Err(devfs::B_NOT_A_DIRECTORY));
    assert_eq!(syscalls::open("/tmp/toy", O_RDWR), Err(B_ENTRY_NOT_FOUND));
    assert_eq!(syscalls::open(&format!("/dev/{}", "x".repeat(1024)), O_RDWR), Err(B_NAME_TOO_LONG));
    assert_eq!(events(), Vec::<String>::new());
    toy::toy().open_status = B_BUSY;
    assert_eq!(syscalls::open("/dev/toy/0", O_RDWR), Err(B_BUSY));
    assert_eq!(events(), ["open toy/0 0x2"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn an_open_without_a_free_number_closes_its_descriptor() {
    let kernel = start(&["toy"]);
    let opened: Vec<_> = (0..256).map(|_| syscalls::open("/dev/toy", O_RDWR).unwrap()).collect();
    events();
    assert_eq!(syscalls::open("/dev/toy", O_RDWR), Err(B_NO_MORE_FDS));
    assert_eq!(events(), ["open toy 0x2", "close toy", "free toy"]);
    syscalls::set_descriptor_limit(300);
    assert_eq!(syscalls::open("/dev/toy", O_RDWR), Ok(256));
    syscalls::close(opened[5]).unwrap();
    assert_eq!(syscalls::open("/dev/toy", O_RDWR), Ok(5));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn what_is_left_open_is_closed_at_the_end() {
    let kernel = start(&["toy"]);
    syscalls::open("/dev/toy", O_RDWR).unwrap();
    assert!(kernel.shutdown().is_zero());
    assert_eq!(events(), ["open toy 0x2", "close toy", "free toy", "uninit"]);
}

#[test]
fn a_duplicate_keeps_the_node_open() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    let copy = syscalls::dup(fd).unwrap();
    assert_eq!(syscalls::fcntl(fd, F_DUPFD, 10), Ok(10));
    assert_eq!(syscalls::dup2(fd, copy), Ok(copy));
    assert_eq!(syscalls::dup2(fd, 20), Ok(20));
    assert_eq!(syscalls::dup2(9, 20), Err(B_FILE_ERROR));
    for fd in [fd, copy, 10] {
        syscalls::close(fd).unwrap();
    }
    assert_eq!(events(), ["open toy 0x2"]);
    syscalls::close(20).unwrap();
    assert_eq!(events(), ["close toy", "free toy"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn bytes_travel_between_programs_and_the_position_moves() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    events();
    assert_eq!(syscalls::write(fd, b"hello"), Ok(5));
    assert_eq!(syscalls::write(fd, b"long words"), Ok(8));
    let mut buffer = [0; 6];
    assert_eq!(syscalls::read(fd, &mut buffer), Ok(5));
    assert_eq!(&buffer, b"hello\0");
    assert_eq!(syscalls::read(fd, &mut buffer), Ok(6));
    assert_eq!(&buffer, b"long w");
    assert_eq!(events(), ["write 5 at 0", "write 10 at 5", "read 6 at 13", "read 6 at 18"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn reading_and_writing_need_the_right_mode() {
    let kernel = start(&["toy"]);
    let (reader, writer) =
        (syscalls::open("/dev/toy", O_RDONLY).unwrap(), syscalls::open("/dev/toy", O_WRONLY).unwrap());
    assert_eq!(syscalls::write(reader, b"x"), Err(B_FILE_ERROR));
    assert_eq!(syscalls::read(writer, &mut [0]), Err(B_FILE_ERROR));
    assert_eq!(syscalls::read(-1, &mut [0]), Err(B_FILE_ERROR));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn nothing_asked_for_is_not_asked_of_the_driver() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    events();
    assert_eq!(syscalls::read_raw(fd, 0, 0), Ok(0));
    assert_eq!(syscalls::write(fd, b""), Ok(0));
    assert_eq!(events(), Vec::<String>::new());
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn addresses_that_are_not_a_programs_do_not_reach_the_driver() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    events();
    let own = [1_u8; 4];
    let real = own.as_ptr() as usize;
    for wrong in [0, USER_BASE - 1, real, USER_TOP, 0xffff_ff00_0000_0000] {
        assert_eq!(syscalls::write_raw(fd, wrong, 4), Err(B_BAD_ADDRESS), "{wrong:#x}");
    }
    assert_eq!(syscalls::write_raw(fd, user::to_user(real), usize::MAX), Err(B_BAD_ADDRESS));
    assert_eq!(events(), Vec::<String>::new());
    // A program's address where nothing is reaches the driver, and fails there.
    assert_eq!(syscalls::write_raw(fd, USER_BASE, 4), Err(B_BAD_ADDRESS));
    assert_eq!(events(), ["write 4 at 0"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_drivers_length_is_believed() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    syscalls::write(fd, b"hello").unwrap();
    toy::toy().read_length = Some(1000);
    assert_eq!(syscalls::read(fd, &mut [0; 8]), Ok(1000));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn vectors_are_one_call_each_until_one_is_short() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    events();
    assert_eq!(syscalls::writev(fd, &[b"abc", b"", b"more than eight", b"never"]), Ok(11));
    assert_eq!(events(), ["write 3 at 0", "write 15 at 3"]);
    let (mut first, mut second, mut third) = ([0; 3], [0; 9], [0; 9]);
    assert_eq!(syscalls::readv(fd, &mut [&mut first, &mut second, &mut third]), Ok(11));
    assert_eq!((&first, &second, &third), (b"abc", b"more tha\0", &[0; 9]));
    assert_eq!(events(), ["read 3 at 11", "read 9 at 14"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn vectors_are_all_checked_before_the_first_is_used() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    events();
    let good = user::to_user(b"abc".as_ptr() as usize);
    assert_eq!(syscalls::writev_raw(fd, &[]), Err(B_BAD_VALUE));
    assert_eq!(syscalls::writev_raw(fd, &[(good, 3), (b"x".as_ptr() as usize, 1)]), Err(B_BAD_ADDRESS));
    assert_eq!(syscalls::writev_raw(fd, &vec![(good, 1); 1025]), Err(B_BAD_VALUE));
    assert_eq!(events(), Vec::<String>::new());
    // A null pointer is skipped, and a fault after a success is not reported.
    assert_eq!(syscalls::writev_raw(fd, &[(0, 5), (good, 3), (USER_BASE, 4)]), Ok(3));
    assert_eq!(events(), ["write 3 at 0", "write 4 at 3"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn close_wakes_a_reader_and_free_waits_for_it() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    let reader = Program::blocked(move || syscalls::read(fd, &mut [0; 8]));
    syscalls::close(fd).unwrap();
    assert_eq!(reader.join(), Err(B_FILE_ERROR));
    assert_eq!(events(), ["open toy 0x2", "read 8 at 0", "close toy", "free toy"]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_kernels_end_waits_for_a_reader_on_its_way_out() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    let reader = Program::blocked(move || syscalls::read(fd, &mut [0; 8]));
    assert!(kernel.shutdown().is_zero());
    assert_eq!(reader.join(), Err(B_FILE_ERROR));
}

#[test]
fn a_signal_interrupts_a_read_and_is_handled_with_it() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    let reader = Program::blocked(move || {
        let interrupted = syscalls::read(fd, &mut [0; 8]);
        (interrupted, syscalls::read(fd, &mut [0; 8]))
    });
    thread::signal(reader.id).unwrap();
    syscalls::write(fd, b"late").unwrap();
    let (first, second) = reader.join();
    // The signal and the bytes race: whichever comes first ends the first read.
    assert!(matches!((first, second), (Err(B_INTERRUPTED), Ok(4))), "{first:?} {second:?}");
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn non_blocking_mode_is_set_by_open_fcntl_and_ioctl() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR | O_NONBLOCK).unwrap();
    assert_eq!(syscalls::read(fd, &mut [0; 8]), Err(B_WOULD_BLOCK));
    events();
    assert_eq!(syscalls::fcntl(fd, F_SETFL, 0), Ok(0));
    assert_eq!(syscalls::fcntl(fd, F_GETFL, 0), Ok(O_RDWR as i32));
    assert_eq!(syscalls::fcntl(fd, F_SETFL, O_NONBLOCK as usize), Ok(0));
    assert_eq!(syscalls::fcntl(fd, F_GETFL, 0), Ok((O_RDWR | O_NONBLOCK) as i32));
    assert_eq!(syscalls::ioctl_ref(fd, FIONBIO, &mut 0_i32), Ok(0));
    assert_eq!(syscalls::ioctl_ref(fd, FIONBIO, &mut 1_i32), Ok(0));
    assert_eq!(syscalls::fcntl(fd, F_GETFL, 0), Ok((O_RDWR | O_NONBLOCK) as i32));
    assert_eq!(events(), ["control 0x4 0x0 0", "control 0x3 0x0 0", "control 0x4 0x0 0", "control 0x3 0x0 0"]);
    assert_eq!(syscalls::ioctl(fd, FIONBIO, 0, 0), Err(B_BAD_VALUE));
    assert_eq!(syscalls::ioctl(fd, FIONBIO, 8, 0), Err(B_BAD_ADDRESS));
    assert_eq!(syscalls::ioctl(fd, FIONBIO, USER_BASE, 0), Err(B_BAD_ADDRESS));
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn ioctls_pass_numbers_and_addresses_as_they_are() {
    let kernel = start(&["toy"]);
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    events();
    let mut value = 0_u64;
    let address = user::to_user(core::ptr::from_mut(&mut value) as usize);
    assert_eq!(syscalls::ioctl_ref(fd, TOY_NOTHING, &mut value), Ok(0));
    assert_eq!(syscalls::ioctl(fd, TOY_SEVEN, 3, 99), Ok(7));
    assert_eq!(syscalls::ioctl(fd, 12_345, 0, 0), Err(ENOTTY));
    assert_eq!(
        events(),
        [format!("control 0x2711 {address:#x} 0"), "control 0x2712 0x3 99".into(), "control 0x3039 0x0 0".into()]
    );
    for kernels in [core::ptr::from_mut(&mut value) as usize, 0xffff_ff00_0000_0000, usize::MAX] {
        assert_eq!(syscalls::ioctl(fd, TOY_NOTHING, kernels, 0), Err(B_BAD_ADDRESS));
    }
    assert_eq!(events(), Vec::<String>::new());
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn devfs_knows_the_path_of_a_device_and_of_its_driver() {
    let kernel = start(&["toy/0"]);
    let fd = syscalls::open("/dev/toy/0", O_RDWR).unwrap();
    events();
    let mut path = [0_u8; 256];
    assert_eq!(syscalls::ioctl_ref(fd, B_GET_PATH_FOR_DEVICE, &mut path), Ok(10));
    assert_eq!(&path[..11], b"/dev/toy/0\0");
    let place = user::to_user(path.as_mut_ptr() as usize);
    assert_eq!(syscalls::ioctl(fd, B_GET_PATH_FOR_DEVICE, place, 10), Err(ERANGE));
    assert_eq!(syscalls::ioctl(fd, B_GET_PATH_FOR_DEVICE, USER_BASE, 0), Err(B_BAD_ADDRESS));
    let driver = b"/boot/home/config/non-packaged/add-ons/kernel/drivers/dev/toy\0";
    assert_eq!(syscalls::ioctl(fd, syscalls::B_GET_DRIVER_FOR_DEVICE, place, 256), Ok(driver.len() as i32 - 1));
    assert_eq!(&path[..driver.len()], driver);
    assert_eq!(events(), Vec::<String>::new());
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn both_roles_share_one_image() {
    struct Counted(Exports, std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl AddOn for Counted {
        fn load(&mut self) -> Result<Exports, status_t> {
            self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Ok(self.0)
        }
    }
    struct Constant<T>(T);
    // SAFETY: it is immutable.
    unsafe impl<T> Sync for Constant<T> {}
    static TABLE: Constant<module_info> =
        Constant(module_info { name: c"network/devices/toy/v1".as_ptr(), flags: 0, std_ops: None });
    static LIST: Constant<[*mut module_info; 2]> = Constant([(&raw const TABLE.0).cast_mut(), core::ptr::null_mut()]);
    let kernel = boot();
    let loads = std::sync::Arc::default();
    let exports = Exports { modules: LIST.0.as_ptr(), ..toy::exports(&["toy"]) };
    kernel.install("toy", Counted(exports, std::sync::Arc::clone(&loads))).unwrap();
    haiku_kernel::modules::get(c"network/devices/toy/v1").unwrap();
    assert_eq!(loads.load(std::sync::atomic::Ordering::SeqCst), 1);
    events();
    // The driver is unloaded, the image stays for the module.
    rescan(&[]);
    assert_eq!((events(), kernel.ledgers().images), (vec!["uninit".to_owned()], 1));
    haiku_kernel::modules::put(c"network/devices/toy/v1").unwrap();
    assert_eq!(kernel.ledgers().images, 0);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_failed_creation_of_the_drivers_semaphore_is_the_openers_error() {
    let kernel = start(&["toy"]);
    fault::arm(FaultPlan::Nth(Fault::CreateSem, 1));
    assert_eq!(syscalls::open("/dev/toy", O_RDWR), Err(B_NO_MORE_SEMS));
    assert!(kernel.shutdown().is_zero());
}
