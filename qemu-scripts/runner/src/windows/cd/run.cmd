@echo off
rem The agent of a run: runs what the CD of qemu-scripts/windows asks for, at a logon, and brings out what came of it.
rem WINDOWS.md, 7. The image's start.cmd calls it, in the session of the console, elevated.
setlocal EnableExtensions
set "here=%~dp0"
set "home=%SystemDrive%\ringwave"
set "work=%home%\work"
set "result=0"
call "%here%stage.cmd" agent
call "%here%settings.cmd"
rem A program that hangs must not hold up the end of Windows.
reg add "HKCU\Control Panel\Desktop" /v AutoEndTasks /t REG_SZ /d 1 /f >nul

rem A new disk may take a moment.
set "out="
for /l %%n in (1,1,30) do if not defined out call :find_out
if not defined out (
    set "result=16"
    set "text=no drive has the file \ringwave-out.txt"
    goto problem
)
md "%out%\out" "%out%\logs" >nul 2>&1
type nul >>"%out%\program.log"
if exist "%out%\program.log" goto out_done
set "result=15"
set "text=the out disk takes nothing"
goto problem
:out_done
if defined BOOT if exist "%here%command.cmd" goto media_done
set "result=99"
set "text=settings.cmd or command.cmd of the run CD is not there, or says nothing"
goto problem
:media_done
if "%STEP%"=="dump" goto dump

rem Doubt: that Windows sets SESSIONNAME for what its registry starts was not seen; unset is taken for the console.
if not defined SESSIONNAME goto session_done
if /i "%SESSIONNAME%"=="Console" goto session_done
set "result=10"
set "text=this is session %SESSIONNAME%, not the console's"
goto problem
:session_done

call "%here%stage.cmd" sound
call "%here%sound.cmd"
if not "%result%"=="0" goto problem

if not defined CYCLES if not defined VERIFIER if not defined SUSPEND goto device_done
call "%here%stage.cmd" device
set "restart="
call "%here%device.cmd"
if not "%result%"=="0" goto problem
if not defined restart goto device_done
>COM1 echo RINGWAVE reboot %restart%
shutdown /r /f /t 0
exit /b
:device_done

call "%here%stage.cmd" program
if exist "%work%\" goto copied
md "%work%" >nul 2>&1
if not exist "%here%files\" goto copied
xcopy "%here%files\*" "%work%\" /e /i /q /r /y >nul
if errorlevel 1 (
    set "result=18"
    set "text=the files of the run CD could not be copied to %work%"
    goto problem
)
attrib -r "%work%\*" /s >nul
:copied
cd /d "%work%"
set "RINGWAVE_OUT=%out%\out"
set "RINGWAVE_BOOT=%BOOT%"
cmd /d /c "%here%command.cmd" >>"%out%\program.log" 2>&1 <nul
set "code=%errorlevel%"
cd /d "%home%"
>COM1 echo RINGWAVE exit %code%
if not defined REBOOT_CODE goto collect
if not "%code%"=="%REBOOT_CODE%" goto collect
>COM1 echo RINGWAVE reboot for the program
shutdown /r /f /t 0
exit /b

:collect
call "%here%stage.cmd" collect
call :logs
rem A copy says whether it was written.
copy /y "%here%stage.cmd" "%out%\logs\probe.txt" >nul 2>&1
if errorlevel 1 (
    set "result=15"
    >COM1 echo RINGWAVE problem 15 the out disk is full
)
del "%out%\logs\probe.txt" >nul 2>&1
goto end

rem The boot after a crash. Windows makes the file of what the crash left in the page file, and may not be ready.
:dump
call "%here%stage.cmd" collect
md "%out%\dump" >nul 2>&1
for /l %%n in (1,1,30) do if not exist "%out%\dump\MEMORY.DMP" call :take_dump
if not exist "%out%\dump\MEMORY.DMP" (
    >COM1 echo RINGWAVE note there is no MEMORY.DMP
)
copy /y "%SystemRoot%\Minidump\*.dmp" "%out%\dump\" >nul 2>&1
call :logs
goto end

rem %result% %text%; delayed, for the & of an instance id would end the line.
:problem
setlocal EnableDelayedExpansion
>COM1 echo RINGWAVE problem !result! !text!
endlocal
if defined out call :logs
:end
>COM1 echo RINGWAVE done %result%
shutdown /s /f /t 0
exit /b

:find_out
for %%d in (D E F G H I J K L M N O P Q R S T U V W X Y Z) do if exist %%d:\ringwave-out.txt set "out=%%d:"
if not defined out ping -n 2 127.0.0.1 >nul 2>&1
exit /b

:take_dump
if exist "%SystemRoot%\MEMORY.DMP" copy /y "%SystemRoot%\MEMORY.DMP" "%out%\dump\" >nul 2>&1
if not exist "%out%\dump\MEMORY.DMP" ping -n 3 127.0.0.1 >nul 2>&1
exit /b

rem Whatever is there. Windows' own programs may not know a channel, or an option.
:logs
copy /y "%SystemRoot%\inf\setupapi.dev.log" "%out%\logs\" >nul 2>&1
copy /y "%home%\install.log" "%out%\logs\" >nul 2>&1
ver >"%out%\logs\windows.txt" 2>&1
pnputil /enum-drivers >"%out%\logs\drivers.txt" 2>&1
if defined VERIFIER verifier /query >"%out%\logs\verifier-after.txt" 2>&1
for %%c in (System Application) do wevtutil epl %%c "%out%\logs\%%c.evtx" /ow:true >nul 2>&1
for %%c in (Audio/Operational Audio/GlitchDetection CodeIntegrity/Operational Kernel-PnP/Configuration) do call :events %%c
exit /b

:events
set "channel=%~1"
wevtutil epl "Microsoft-Windows-%channel%" "%out%\logs\%channel:/=-%.evtx" /ow:true >nul 2>&1
exit /b
